// A segmentation over a series' pictures, as somebody chooses it beside them: a layer of the viewer,
// and its box. A mask lies over a slice of the very same plane, rows and columns: the server says which.
import { Refused, answerOf, everyFrame, whyNot } from "./records.js";
import { valuesOf } from "./values.js";

const SVG = "http://www.w3.org/2000/svg";
const MOST_BYTES = 256 << 20; // of masks, cut to what is in them
const NOTHING = "None of this segmentation lies over a picture of this series.";
const LACKING = "Masks of this segmentation are missing or damaged, so it is not drawn.";
const TOO_MUCH = "This segmentation is too large to be drawn here.";
const OTHER_FRAME = "This picture lies in another frame of reference than the segmentation, which is not drawn over it.";

export class Masks {
  // `box` is a .over-masks; `segmentations` are as the server offers them for this state of the series.
  constructor(viewer, box, segmentations, changes) {
    this.viewer = viewer;
    this.box = box;
    this.segmentations = segmentations;
    this.changes = changes;
    this.abort = null; // what is loading
    this.shown = null; // what the server says of it, once all of it is here
    this.rows = []; // of its segments: {name, type, colour, isOn, slice}, the last the middle one
    this.masks = new Map(); // by slice: [{segment, mask}]
    this.painted = new OffscreenCanvas(1, 1);
    this.offer();
    viewer.addLayer(this);
  }

  part(name) {
    return this.box.querySelector(`[data-masks=${name}]`);
  }

  offer() {
    const choice = this.part("choice");
    for (const { object, words } of this.segmentations) choice.append(new Option(words, object));
    choice.addEventListener("change", () => void this.choose(choice.value));
    this.part("opacity").addEventListener("input", () => this.viewer.redraw());
    this.box.hidden = !this.segmentations.length;
  }

  say(words) {
    const state = this.part("state");
    if (state.textContent !== words) state.textContent = words;
    state.hidden = !words;
  }

  // --- loading ----------------------------------------------------------------------------------

  async choose(object) {
    this.abort?.abort();
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.show(null, new Map());
    const chosen = this.segmentations.find((one) => String(one.object) === object);
    if (!chosen) return;
    this.say("Loading …");
    try {
      const told = await (await answerOf(`${chosen.url}?changes=${this.changes}`, signal)).json();
      if (told.why_not) throw new Refused(told.why);
      const masks = await this.loaded(told, chosen.frames, signal);
      if (!signal.aborted) this.show(told, masks);
    } catch (error) {
      if (signal.aborted) return;
      this.say(whyNot(error));
      if (!(error instanceof Refused || error instanceof TypeError)) throw error;
    }
  }

  // The masks of each slice.
  async loaded({ frames }, url, signal) {
    const numbers = new Set(frames.map(([frame]) => frame));
    if (!numbers.size) return new Map();
    const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
    const found = new Map(); // by frame
    let bytes = 0;
    await everyFrame(url, [first, last], signal, async (one, packed) => {
      if (!numbers.has(one.frame)) return;
      const values = one.why_not || one.type !== "u1" ? null : await valuesOf(packed, one, 1);
      if (!values) throw new Refused(LACKING);
      const mask = cropped(values, one.columns, one.rows);
      bytes += mask?.bits.length ?? 0;
      if (bytes > MOST_BYTES) throw new Refused(TOO_MUCH);
      found.set(one.frame, mask);
      if (!signal.aborted) this.say(`Loading: ${found.size} of ${numbers.size} masks`);
    });
    if (found.size < numbers.size) throw new Refused(LACKING);
    const masks = new Map();
    for (const [frame, segment, slice] of frames) {
      const mask = found.get(frame);
      if (mask) masks.set(slice, [...(masks.get(slice) ?? []), { segment, mask }]);
    }
    return masks;
  }

  show(told, masks) {
    this.shown = told;
    this.masks = masks;
    this.rows = (told?.segments ?? []).map((one, at) => ({ ...one, isOn: true, slice: this.middleOf(at) }));
    const saying = [...(told && !masks.size ? [NOTHING] : []), ...(told?.left_out ?? [])];
    this.part("notes").replaceChildren(...saying.map((words) => made("p", "", { textContent: words })));
    this.part("how").hidden = !masks.size;
    this.part("list").replaceChildren(...this.rows.map((row) => this.rowOf(row)));
    this.say("");
    this.viewer.redraw();
  }

  // The middle one of the slices that have a segment; null where none has.
  middleOf(segment) {
    const slices = [...this.masks].filter(([, all]) => all.some((one) => one.segment === segment));
    const numbers = slices.map(([slice]) => slice).sort((a, b) => a - b);
    return numbers[numbers.length >> 1] ?? null;
  }

  // --- the list ---------------------------------------------------------------------------------

  rowOf(row) {
    const item = made("li", row.slice === null ? "is-empty" : "");
    const holder = made("label", "over-switch");
    if (row.slice !== null) {
      const box = made("input", "form-check-input", { type: "checkbox", checked: true, autocomplete: "off" });
      box.setAttribute("aria-label", `Show ${row.name}`);
      box.addEventListener("input", () => {
        row.isOn = box.checked;
        this.viewer.redraw();
      });
      holder.append(box);
    }
    const name = made("button", "over-name", { type: "button", disabled: row.slice === null });
    if (row.slice !== null) name.title = "Go to its middle slice";
    name.append(swatch(row.colour), made("bdi", "", { textContent: row.name }));
    name.addEventListener("click", () => this.viewer.goTo(row.slice));
    const type = row.slice === null ? "nothing here" : row.type;
    item.append(holder, name, made("span", "over-type", { textContent: type }));
    return item;
  }

  // --- a layer ----------------------------------------------------------------------------------

  get isClinical() {
    return this.masks.size > 0;
  }

  // What lies over a stage: of planes that are cut across slices, nothing.
  on({ number, plane }) {
    if (!plane || plane.frame !== this.shown?.frame_of_reference) return [];
    return (this.masks.get(number) ?? []).filter(({ segment }) => this.rows[segment].isOn);
  }

  draw(stage) {
    if (this.masks.size && stage === this.viewer.stages[0]) {
      this.say(stage.plane?.frame === this.shown.frame_of_reference ? "" : OTHER_FRAME);
    }
    const masks = this.on(stage);
    if (!masks.length) return;
    const brush = stage.wash();
    brush.globalAlpha = Number(this.part("opacity").value) / 100;
    for (const { segment, mask } of masks) {
      this.paint(mask, this.rows[segment].colour);
      brush.drawImage(this.painted, mask.left, mask.top);
    }
    brush.globalAlpha = 1;
  }

  paint({ columns, rows, bits }, [red, green, blue]) {
    [this.painted.width, this.painted.height] = [columns, rows];
    const brush = this.painted.getContext("2d");
    const pixels = brush.createImageData(columns, rows);
    const words = new Uint32Array(pixels.data.buffer);
    const word = (255 << 24) | (blue << 16) | (green << 8) | red;
    for (let at = 0; at < bits.length; at++) if (bits[at]) words[at] = word;
    brush.putImageData(pixels, 0, 0);
  }

  told(stage, point) {
    const [column, row] = point.map(Math.round);
    const here = this.on(stage).filter(({ mask }) => isIn(mask, column, row));
    return here.map(({ segment }) => this.rows[segment].name).join(", ");
  }
}

// What of a mask is not empty: {left, top, columns, rows, bits}; null where all is.
export function cropped(values, columns, rows) {
  let [left, right, top, bottom] = [columns, -1, rows, -1];
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      if (!values[at]) continue;
      if (column < left) left = column;
      if (column > right) right = column;
      if (row < top) top = row;
      bottom = row;
    }
  }
  if (right < 0) return null;
  const found = { left, top, columns: right - left + 1, rows: bottom - top + 1 };
  const bits = new Uint8Array(found.columns * found.rows);
  for (let row = 0; row < found.rows; row++) {
    const start = (top + row) * columns + left;
    bits.set(values.subarray(start, start + found.columns), row * found.columns);
  }
  return { ...found, bits };
}

function isIn({ left, top, columns, rows, bits }, column, row) {
  const [x, y] = [column - left, row - top];
  return x >= 0 && y >= 0 && x < columns && y < rows && Boolean(bits[y * columns + x]);
}

function made(name, className, properties = {}) {
  return Object.assign(document.createElement(name), { className }, properties);
}

function swatch(colour) {
  const picture = document.createElementNS(SVG, "svg");
  const square = document.createElementNS(SVG, "rect");
  const looks = { class: "swatch", width: 14, height: 14, "aria-hidden": true, focusable: false };
  for (const [name, value] of Object.entries(looks)) picture.setAttribute(name, value);
  const place = { x: 0.5, y: 0.5, width: 13, height: 13, rx: 3, fill: `rgb(${colour})` };
  for (const [name, value] of Object.entries(place)) square.setAttribute(name, value);
  picture.append(square);
  return picture;
}
