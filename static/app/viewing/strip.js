// Small pictures of some slices of a stack, evenly apart, which lead to them. Each is painted once
// its slice has come for the picture above, as the file wishes to be seen: with its own window, and with
// its overlays.
import { everyNth, isGrey, lay, paint, unsaid } from "./greys.js";
import { View } from "./view.js";
import { NO_VALUES, pixelSize } from "./words.js";

const MOST = 8;
const SIDE = 128; // of the canvas's pixels
const ENOUGH = 512; // rows or columns of a picture that is made so small

export class Strip {
  constructor(box, choose) {
    this.box = box;
    this.choose = choose;
    this.buttons = new Map(); // by slice
    this.lacks = new Set(); // slices that are not painted yet
  }

  begin({ first, count }) {
    const most = Math.min(MOST, count);
    const slices = Array.from({ length: most }, (_, at) => first + Math.floor(((at + 0.5) * count) / most));
    this.buttons = new Map(slices.map((slice) => [slice, this.button(slice, slice - first + 1)]));
    this.lacks = new Set(slices);
    this.box.replaceChildren(...this.buttons.values());
    this.box.hidden = count === 1;
  }

  button(slice, number) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "strip-slice";
    made.setAttribute("aria-label", `Slice ${number}`);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [SIDE, SIDE];
    const words = document.createElement("span");
    words.textContent = number;
    made.append(canvas, words);
    made.addEventListener("click", () => this.choose(slice));
    return made;
  }

  // The nearest to what is shown is marked.
  mark(shown) {
    const away = (slice) => Math.abs(slice - shown);
    const nearest = [...this.buttons.keys()].sort((one, other) => away(one) - away(other))[0];
    for (const [slice, button] of this.buttons) {
      if (slice === nearest) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  // What has come of every second or fourth row, as on a slow line, is painted again once all of it has:
  // overlays come with that.
  paint(slice, rendering, window) {
    const { told } = slice;
    if (!this.lacks.has(told.slice)) return;
    const button = this.buttons.get(told.slice);
    button.title = slice.values ? "" : told.why || NO_VALUES;
    if (!slice.values) return;
    if (told.step === 1) this.lacks.delete(told.slice);
    const every = Math.max(Math.floor(Math.max(told.rows, told.columns) / ENOUGH), 1);
    const small = every > 1 ? { ...slice, ...everyNth(slice, every) } : slice;
    const source = new OffscreenCanvas(small.told.columns, small.told.rows);
    const brush = source.getContext("2d", { alpha: false });
    const pixels = brush.createImageData(source.width, source.height);
    paint(pixels, small, rendering, isGrey(rendering) ? (window ?? unsaid(small, rendering)) : null, false);
    for (const overlay of small.overlays) lay(pixels, overlay);
    brush.putImageData(pixels, 0, 0);
    const canvas = button.querySelector("canvas");
    const view = new View(canvas);
    view.show(told.whole_columns, told.whole_rows, pixelSize(rendering));
    const context = canvas.getContext("2d", { alpha: false });
    context.imageSmoothingQuality = "high";
    context.drawImage(source, ...view.boxOf(small.told));
  }
}
