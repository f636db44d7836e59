// The stacks of a series, one after the other, and what is to be said of its slices.
export class Stacks {
  constructor({ count, stacks, marks }) {
    this.count = count;
    this.marks = marks;
    let first = 0;
    this.all = stacks.map(({ words, count: slices }) => {
      const stack = { words, first, last: first + slices - 1, count: slices };
      first += slices;
      return stack;
    });
  }

  // The number of the stack that a slice is in.
  at(slice) {
    return this.all.findIndex(({ last }) => slice <= last);
  }

  // The slice of another stack that lies where one of this lies, or nearly.
  across(slice, steps) {
    const here = this.at(slice);
    const there = Math.min(Math.max(here + steps, 0), this.all.length - 1);
    const [from, to] = [this.all[here], this.all[there]];
    const part = from.count > 1 ? (slice - from.first) / (from.count - 1) : 0;
    const same = from.count === to.count ? slice - from.first : Math.round(part * (to.count - 1));
    return to.first + same;
  }

  // What is to be said of a slice.
  said(slice) {
    return this.marks.filter((mark) => mark.slice === slice).map(({ words }) => words);
  }

  // Whether something is to be said of any slice of a stack.
  haveWords({ first, last }) {
    return this.marks.some(({ slice }) => slice >= first && slice <= last);
  }
}

// Draws marks below the slider that has a stack's slices; `thumb` is as wide as what is dragged.
export function drawMarks(strip, { first, last, count }, marks, thumb = 16) {
  const here = marks.filter(({ slice }) => slice >= first && slice <= last);
  strip.replaceChildren(
    ...here.map(({ slice, side, kind, words }) => {
      const made = document.createElement("span");
      made.className = `viewer-mark viewer-mark-${kind}`;
      made.title = words;
      const part = count > 1 ? (slice - first + side / 2) / (count - 1) : 0.5;
      const at = Math.min(Math.max(part, 0), 1);
      made.style.left = `calc(${thumb / 2}px + ${at} * (100% - ${thumb}px))`;
      return made;
    }),
  );
}
