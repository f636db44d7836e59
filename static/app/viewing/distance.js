// A distance that somebody measures on a picture. It is not kept: it goes with the slice.
import { hasLengths, lengthOf } from "./words.js";

const CORNERS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
const PART = 0.25; // of the picture's sides: a line that no pointer has drawn
const WAY = "distance"; // in which a pointer drags

export class Distance {
  constructor(viewer) {
    this.viewer = viewer;
    this.line = null; // {stage, slice, number, from, to}: columns and rows, as `space.js` counts
    viewer.drags.set(WAY, (_, stage, event) => this.drag(stage, event));
  }

  // --- drawn by a pointer -----------------------------------------------------------------------

  drag(stage, event) {
    const from = stage.pointAt(stage.onCanvas(event));
    if (!stage.slice || !hasLengths(stage.slice.rendering)) return null;
    this.clear();
    if (!from) return { moved: () => {} };
    return {
      moved: (far, by, moved) => this.set(stage, from, stage.pointOn(stage.onCanvas(moved))),
    };
  }

  set(stage, from, to) {
    const { slice, number } = stage;
    if (!slice) return;
    this.line = { stage, slice, number, from, to };
    this.drawAlone(stage);
  }

  clear() {
    if (!this.line) return;
    const { stage } = this.line;
    this.line = null;
    this.drawAlone(stage);
  }

  // What else lies over the picture has not changed.
  drawAlone(stage) {
    this.draw(stage);
    this.viewer.later();
  }

  // --- by keyboard ------------------------------------------------------------------------------

  // A plane that has been cut goes, and its line with it.
  get isThere() {
    return Boolean(this.line) && this.viewer.stages.includes(this.line.stage);
  }

  // Whether a key was meant for it.
  pressed(stage, key) {
    if (key === "Escape" && this.isThere) this.clear();
    else if (key === "d") this.choose(stage);
    else return false;
    return true;
  }

  choose(stage) {
    const drags = this.viewer.part("drags");
    if (drags.value !== WAY) drags.value = WAY;
    else if (stage.slice && hasLengths(stage.slice.rendering)) this.put(stage);
  }

  // A line in the middle, whose ends arrows move.
  put(stage) {
    const { whole_columns: columns, whole_rows: rows } = stage.slice.told;
    const row = Math.floor(rows / 2);
    const ends = [0.5 - PART / 2, 0.5 + PART / 2].map((part) => [Math.floor(part * columns), row]);
    this.set(stage, ...ends);
    stage.label(this).focus({ preventScroll: true });
  }

  moveEnd(event) {
    const by = CORNERS[event.key];
    if (event.key === "Escape") {
      this.line.stage.canvas.focus({ preventScroll: true });
      this.clear();
    } else if (by) {
      const { stage, from, to } = this.line;
      const moved = ([column, row]) => [column + by[0], row + by[1]];
      if (event.shiftKey) this.set(stage, moved(from), to);
      else this.set(stage, from, moved(to));
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // --- as a layer -------------------------------------------------------------------------------

  draw(stage) {
    const [main] = this.viewer.stages;
    if (stage === main && stage.slice) this.offer(stage.slice.rendering);
    if (this.line?.stage === stage && !this.isOf(stage)) this.line = null; // with its slice
    const group = stage.group(this);
    if (this.line?.stage !== stage) {
      group.replaceChildren();
      stage.label(this, "");
      return;
    }
    const { from, to } = this.line;
    const ends = [from, to].map(([column, row]) => `${column + 0.5},${row + 0.5}`);
    const lines = group.childElementCount ? [...group.children] : ["viewer-halo", "viewer-measured"].map(pathOf);
    for (const line of lines) line.setAttribute("d", `M${ends.join("L")}`);
    group.replaceChildren(...lines);
    this.say(stage, lengthOf(stage.slice.rendering, from, to));
  }

  isOf({ slice, number }) {
    return number === null ? this.line.slice === slice : this.line.number === number;
  }

  offer(rendering) {
    this.viewer.part("drags").querySelector(`[value=${WAY}]`).disabled = !hasLengths(rendering);
  }

  say(stage, words) {
    const { from, to } = this.line;
    const at = [Math.max(from[0], to[0]) + 0.5, (from[0] > to[0] ? from : to)[1] + 0.5];
    const label = stage.label(this, words || "no length here", at);
    label.setAttribute("aria-valuetext", label.textContent);
    if (label.onkeydown) return;
    label.classList.add("viewer-length");
    label.tabIndex = 0;
    label.setAttribute("role", "spinbutton");
    label.setAttribute("aria-label", "Distance");
    label.onkeydown = (event) => this.moveEnd(event);
  }
}

function pathOf(name) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", "path");
  made.setAttribute("class", name);
  return made;
}
