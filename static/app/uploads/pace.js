// How fast an upload is processed, and how long it will still take, without jumping about.
import { rate, size, timeLeft } from "../shared/words.js";

const WINDOW = 10; // seconds that the pace is measured over
const READING = 80; // percent of the bar, from 10 to 90, in which the ZIP is read
const WORTH_A_RATE = 100; // files; of fewer it says nothing
const ENOUGH = 3; // seconds of watching before a guess is worth showing,
const MOVED = 2; // and percent that the bar has moved in them

/** The time left of something, in words that do not jump about. */
export class Left {
  #end = null; // when it is expected to end, smoothed
  #shown = null; // seconds

  /** Take a guess of how many seconds are left. */
  guess(seconds) {
    const end = performance.now() / 1000 + seconds;
    this.#end = this.#end === null ? end : this.#end + 0.2 * (end - this.#end);
  }

  /** Seconds; null where nothing is known yet. They rise only where the guess was far off. */
  get seconds() {
    if (this.#end === null) return null;
    const now = Math.max(this.#end - performance.now() / 1000, 0);
    if (this.#shown === null || now < this.#shown || now > 1.3 * this.#shown + 5) this.#shown = now;
    return this.#shown;
  }

  get words() {
    return this.seconds === null ? "" : timeLeft(this.seconds);
  }
}

export class Pace {
  #samples = [];
  #left = new Left();

  /** What to show beside the bar for this state. */
  words(state) {
    if (!state.moving) {
      this.#samples = [];
      this.#left = new Left();
      return state.took;
    }
    const now = performance.now() / 1000;
    this.#samples.push({ now, files: state.files_done, percent: state.percent });
    while (this.#samples.length > 2 && now - this.#samples[0].now > WINDOW) this.#samples.shift();
    const first = this.#samples[0];
    const span = now - first.now;
    if (span < ENOUGH) return "";
    const files = (state.files_done - first.files) / span;
    const percents = (state.percent - first.percent) / span;
    const parts = [];
    if (files > 0 && state.files_total >= WORTH_A_RATE) parts.push(rate(files));
    if (percents > 0) parts.push(`${size((percents / READING) * state.size)}/s`);
    if (state.percent - first.percent >= MOVED) this.#left.guess((100 - state.percent) / percents);
    return [...parts, this.#left.words].filter(Boolean).join(" · ");
  }

  get secondsLeft() {
    return this.#left.seconds;
  }
}

/** The longest of several uploads' time left, in words; "" while one of them is not known. */
export function remaining(paces) {
  const seconds = paces.map((pace) => pace.secondsLeft);
  return seconds.length && !seconds.includes(null) ? timeLeft(Math.max(...seconds)) : "";
}
