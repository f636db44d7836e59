// A segmentation over a series' pictures, as somebody chooses it beside them: a layer of the viewer,
// and its box. A mask lies over a slice of the very same plane, rows and columns: the server says
// which. On a plane that is cut across slices it reaches half the way to the slices beside its own.
import { Refused, answerOf, everyFrame, isTold, whyNot } from "./records.js";
import { along, pixelOf, planeOf, pointOf } from "./space.js";
import { valuesOf } from "./values.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 1e-6; // mm, by which a pixel's height changes from one to the next, where it does
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
    let [bytes, rendering] = [0, null];
    await everyFrame(url, [first, last], signal, async (one, packed) => {
      rendering = one.rendering ?? rendering;
      if (!numbers.has(one.frame)) return;
      const values = one.why_not || one.type !== "u1" ? null : await valuesOf(packed, one, 1);
      if (!values) throw new Refused(LACKING);
      const mask = cropped(values, one.columns, one.rows);
      bytes += mask?.bits.length ?? 0;
      if (bytes > MOST_BYTES) throw new Refused(TOO_MUCH);
      found.set(one.frame, mask && { ...mask, plane: planeOf({ told: one, rendering }) });
      const [now, all] = [found.size, numbers.size];
      if (!signal.aborted && isTold(now, all)) this.say(`Loading: ${now} of ${all} masks`);
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

  // What lies over a slice, of what is switched on.
  on({ number, plane }) {
    if (!plane || plane.frame !== this.shown?.frame_of_reference) return [];
    return (this.masks.get(number) ?? []).filter(({ segment }) => this.rows[segment].isOn);
  }

  draw(stage) {
    if (this.masks.size && stage === this.viewer.stages[0]) {
      this.say(stage.plane?.frame === this.shown.frame_of_reference ? "" : OTHER_FRAME);
    }
    if (stage.number === null) return this.drawAcross(stage);
    const masks = this.on(stage);
    if (!masks.length) return;
    const brush = stage.wash();
    brush.globalAlpha = this.opacity;
    for (const { segment, mask } of masks) {
      this.paint(mask, this.rows[segment].colour);
      brush.drawImage(this.painted, mask.left, mask.top);
    }
    brush.globalAlpha = 1;
  }

  get opacity() {
    return Number(this.part("opacity").value) / 100;
  }

  // --- on planes that are cut across slices -----------------------------------------------------

  drawAcross(stage) {
    const { plane } = stage;
    if (!plane || plane.frame !== this.shown?.frame_of_reference) return;
    const pixels = new ImageData(plane.columns, plane.rows);
    const words = new Uint32Array(pixels.data.buffer);
    let isAnywhere = false;
    for (const { segment, mask, below, above } of this.reaching()) {
      const word = wordOf(this.rows[segment].colour);
      across(plane, mask, below, above, (at) => {
        words[at] = word;
        isAnywhere = true;
      });
    }
    if (!isAnywhere) return;
    [this.painted.width, this.painted.height] = [plane.columns, plane.rows];
    this.painted.getContext("2d").putImageData(pixels, 0, 0);
    const brush = stage.wash();
    brush.globalAlpha = this.opacity;
    brush.drawImage(this.painted, 0, 0);
    brush.globalAlpha = 1;
  }

  // The masks that are switched on, with how far each reaches below and above its slice, in mm.
  *reaching() {
    for (const [number, all] of this.masks) {
      for (const { segment, mask } of all) {
        const [below, above] = mask.plane && this.rows[segment].isOn ? this.reach(number, mask.plane) : [];
        if (below && above) yield { segment, mask, below, above };
      }
    }
  }

  // Half the way to the slices beside it; as far on both sides, where one has none.
  reach(number, plane) {
    const { slices, stack } = this.viewer;
    const beside = [number - 1, number + 1].filter((one) => one >= stack.first && one <= stack.last);
    const places = beside.map((one) => slices.places.get(one)?.position).filter((one) => one?.length === 3);
    const heights = places.map((one) => (along(plane, one) - along(plane, plane.origin)) / 2);
    const [below, above] = [heights.find((one) => one < 0), heights.find((one) => one > 0)];
    return [-(below ?? -above), above ?? -below];
  }

  paint({ columns, rows, bits }, colour) {
    [this.painted.width, this.painted.height] = [columns, rows];
    const brush = this.painted.getContext("2d");
    const pixels = brush.createImageData(columns, rows);
    const words = new Uint32Array(pixels.data.buffer);
    const word = wordOf(colour);
    for (let at = 0; at < bits.length; at++) if (bits[at]) words[at] = word;
    brush.putImageData(pixels, 0, 0);
  }

  told(stage, point) {
    const here = stage.number === null ? this.acrossAt(stage, point) : this.onAt(stage, point);
    return here.map(({ segment }) => this.rows[segment].name).join(", ");
  }

  onAt(stage, point) {
    const [column, row] = point.map(Math.round);
    return this.on(stage).filter(({ mask }) => isIn(mask, column, row));
  }

  acrossAt({ plane }, point) {
    if (!plane || plane.frame !== this.shown?.frame_of_reference) return [];
    const there = pointOf(plane, point);
    return [...this.reaching()].filter(({ mask, below, above }) => {
      const [column, row, off] = pixelOf(mask.plane, there);
      return off >= -below && off < above && isIn(mask, Math.round(column), Math.round(row));
    });
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

// Calls for each pixel of a plane, by its place in the picture, that a mask has, as far as it reaches.
// A plane has slices one below the other, or one beside the other.
function across(plane, mask, below, above, take) {
  const first = pixelOf(mask.plane, plane.origin);
  const [right, down] = [[1, 0], [0, 1]].map((step) =>
    pixelOf(mask.plane, pointOf(plane, step)).map((one, n) => one - first[n]),
  );
  const isBelow = Math.abs(right[2]) < LEAST; // slices lie one below the other
  if (!isBelow && Math.abs(down[2]) >= LEAST) return;
  const whole = [0, plane.columns - 1];
  const [left, end] = isBelow ? whole : span(plane.columns, first[2], right[2], below, above);
  const [top, bottom] = isBelow ? span(plane.rows, first[2], down[2], below, above) : [0, plane.rows - 1];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= end; column++) {
      const x = Math.round(first[0] + column * right[0] + row * down[0]);
      const y = Math.round(first[1] + column * right[1] + row * down[1]);
      if (isIn(mask, x, y)) take(row * plane.columns + column);
    }
  }
}

// The first and the last of so many pixels whose heights are from below a slice to above it.
function span(count, from, step, below, above) {
  const ends = [(-below - from) / step, (above - from) / step].sort((a, b) => a - b);
  return [Math.max(Math.ceil(ends[0]), 0), Math.min(Math.ceil(ends[1]) - 1, count - 1)];
}

const wordOf = ([red, green, blue]) => (255 << 24) | (blue << 16) | (green << 8) | red;

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
