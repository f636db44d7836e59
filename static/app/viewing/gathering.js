// All slices of a stack, as they come: those that are here at once, others as the worker has them.
//
// `heard` is told {came: how many}, and at the end {all: slices, in their order} or {trouble, isPassing}:
// why not, in a sentence, and whether it may be otherwise a moment later.
import { TROUBLES } from "./tools.js";
import { NO_VALUES } from "./words.js";

const AT_ONCE = 4; // that are being inflated

export class Gathering {
  constructor(slices, { first, count }, from, heard) {
    [this.slices, this.first, this.count, this.heard] = [slices, first, count, heard];
    const numbers = Array.from({ length: count }, (_, at) => first + at);
    // As the worker asks for them: from one on outwards.
    this.lacking = new Set(numbers.sort((one, other) => Math.abs(one - from) - Math.abs(other - from)));
    this.found = new Map();
    this.asked = new Set(); // that are being inflated
    this.waiting = new Set(); // of which something else has to arrive first
    this.retried = new Set();
    this.wanted = null;
    this.ended = new AbortController();
  }

  begin() {
    const { slices, ended: { signal } } = this;
    slices.trouble = ""; // of before
    slices.addEventListener("came", ({ detail }) => this.take(detail), { signal });
    slices.addEventListener("arrived", ({ detail }) => !detail.hasCome && this.waiting.delete(detail.slice), { signal });
    slices.addEventListener("changed", () => this.goOn(), { signal });
    for (const number of [...this.lacking]) {
      const here = slices.get(number);
      if (here && !signal.aborted) this.take(here);
    }
    this.goOn();
  }

  end() {
    this.ended.abort();
  }

  take(slice) {
    const { slice: number, step, is_passing: isPassing } = slice.told;
    if (!this.lacking.has(number)) return;
    this.asked.delete(number);
    if (step > 1) this.waiting.add(number);
    else if (isPassing && !this.retried.has(number)) this.retry(number);
    else {
      this.lacking.delete(number);
      this.found.set(number, slice);
      // One that has no picture is enough to end with.
      if (slice.values && this.lacking.size) this.heard({ came: this.found.size });
      else this.finish();
    }
  }

  retry(number) {
    this.retried.add(number);
    this.waiting.add(number);
    this.slices.again(number);
  }

  finish() {
    this.end();
    const without = [...this.found.values()].find(({ values }) => !values);
    if (without) {
      const { slice, why } = without.told;
      const words = why || NO_VALUES;
      const trouble = `Slice ${slice - this.first + 1} has no picture, so there are no planes: ${words}`;
      this.heard({ trouble, isPassing: without.told.is_passing });
    } else {
      this.heard({ all: Array.from({ length: this.count }, (_, at) => this.found.get(this.first + at)) });
    }
  }

  stop(trouble) {
    this.end();
    const isCut = trouble === "cut";
    this.heard({ trouble: isCut ? "The connection broke off." : TROUBLES[trouble], isPassing: isCut });
  }

  goOn() {
    const { slices, lacking, asked, waiting } = this;
    if (this.ended.signal.aborted) return;
    if (slices.trouble && slices.trouble !== "busy") return this.stop(slices.trouble);
    for (const number of asked) if (!slices.hasArrived(number)) asked.delete(number); // it was let go
    for (const number of lacking) {
      if (asked.size >= AT_ONCE) return;
      if (!slices.hasArrived(number) || asked.has(number) || waiting.has(number)) continue;
      asked.add(number);
      slices.also(number);
    }
    const [next] = lacking;
    if (asked.size || next === this.wanted) return;
    this.wanted = next;
    slices.want(next);
  }
}
