// A segmentation's masks over a series' pictures: a layer of the viewer. A mask lies over a slice of
// the very same plane, rows and columns: the server says which. On a plane that is cut across slices
// it reaches half the way to the slices beside its own.
import { along, pixelOf, pointOf } from "./space.js";

const LEAST = 1e-6; // mm, by which a pixel's height changes from one to the next, where it does
const FAINTEST = 0.4; // a mask has no outline, so it is never less opaque

export class Masks {
  // `seen` is called with whether the first stage's picture lies in another frame of reference.
  constructor(viewer, seen) {
    this.viewer = viewer;
    this.seen = seen;
    this.shown = null; // what the server says of a segmentation, once all of it is here
    this.masks = new Map(); // by slice: [{segment, mask}]
    this.hidden = new Set(); // segments that are switched off
    this.isHidden = false; // all of them
    this.opacity = 0; // of what is filled
    this.marked = null; // a segment's place in its segmentation
    this.sizes = new WeakMap(); // by plane: how many of its pixels each segment has
    this.painted = new OffscreenCanvas(1, 1);
  }

  // Draws a segmentation; null draws none.
  show(told, masks) {
    this.shown = told;
    this.masks = masks;
    this.hidden.clear();
    this.marked = null;
    this.redraw();
  }

  redraw() {
    this.viewer.redraw();
  }

  get isClinical() {
    return this.masks.size > 0 && !this.isHidden;
  }

  // Whether it may lie over what a stage shows.
  isOver({ plane }) {
    return Boolean(plane) && plane.frame === this.shown?.frame_of_reference;
  }

  // Those of a slice's masks that are switched on, the marked one uppermost.
  switchedOn(masks = []) {
    if (this.isHidden) return [];
    const isMarked = ({ segment }) => Number(segment === this.marked);
    const on = masks.filter(({ segment }) => !this.hidden.has(segment));
    return on.sort((one, other) => isMarked(one) - isMarked(other));
  }

  // What lies over a slice, of what is switched on.
  on(stage) {
    return this.isOver(stage) ? this.switchedOn(this.masks.get(stage.number)) : [];
  }

  draw(stage) {
    if (this.masks.size && stage === this.viewer.stages[0]) this.seen(!this.isOver(stage));
    if (stage.number === null) return this.drawAcross(stage);
    for (const { segment, mask } of this.on(stage)) {
      this.paint(mask, this.colourOf(segment));
      this.lay(stage, mask.left, mask.top);
    }
  }

  // What is painted over a stage.
  lay(stage, left, top) {
    const brush = stage.wash();
    brush.globalAlpha = Math.max(this.opacity, FAINTEST);
    brush.drawImage(this.painted, left, top);
    brush.globalAlpha = 1;
  }

  colourOf(segment) {
    return this.shown.segments[segment].colour;
  }

  // --- on planes that are cut across slices -----------------------------------------------------

  drawAcross(stage) {
    if (!this.isOver(stage) || this.isHidden) return;
    const { plane } = stage;
    const pixels = new ImageData(plane.columns, plane.rows);
    const words = new Uint32Array(pixels.data.buffer);
    const sizes = new Map(); // by segment
    for (const { segment, mask, below, above } of this.reaching(stage)) {
      const word = wordOf(this.colourOf(segment));
      let size = sizes.get(segment) ?? 0;
      across(plane, mask, below, above, (at) => {
        words[at] = word;
        size += 1;
      });
      sizes.set(segment, size);
    }
    this.sizes.set(plane, sizes);
    if (![...sizes.values()].some(Boolean)) return;
    [this.painted.width, this.painted.height] = [plane.columns, plane.rows];
    this.painted.getContext("2d").putImageData(pixels, 0, 0);
    this.lay(stage, 0, 0);
  }

  // The masks that are switched on, with how far each reaches below and above its slice, in mm.
  reaching(stage) {
    if (!this.isOver(stage)) return [];
    const { first, last } = this.viewer.stack; // another may lie in the same place
    const here = [...this.masks].filter(([number]) => number >= first && number <= last);
    const all = here.flatMap(([number, masks]) => masks.map((one) => ({ ...one, number })));
    return this.switchedOn(all).flatMap(({ segment, mask, number }) => {
      const [below, above] = mask.plane ? this.reach(number, mask.plane) : [];
      return below && above ? [{ segment, mask, below, above }] : [];
    });
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

  // --- under the pointer --------------------------------------------------------------------------

  told(stage, point) {
    const here = new Set(this.under(stage, point).map(({ segment }) => segment));
    const names = this.shown?.segments.filter((one, at) => here.has(at)).map(({ name }) => name);
    return names?.join(", ") ?? "";
  }

  // The smallest segment at a place of a stage: {at, area}; null for none.
  at(stage, point) {
    const areas = new Map(); // by segment
    for (const { segment, mask } of this.under(stage, point)) {
      const area = stage.number === null ? this.sizes.get(stage.plane)?.get(segment) : mask.size;
      areas.set(segment, Math.max(areas.get(segment) ?? 0, area ?? 0));
    }
    const least = [...areas].sort(([, one], [, other]) => one - other)[0];
    return least ? { at: least[0], area: least[1] } : null;
  }

  under(stage, point) {
    return stage.number === null ? this.underAcross(stage, point) : this.underOn(stage, point);
  }

  underOn(stage, point) {
    const [column, row] = point.map(Math.round);
    return this.on(stage).filter(({ mask }) => isIn(mask, column, row));
  }

  underAcross(stage, point) {
    if (!this.isOver(stage)) return [];
    const there = pointOf(stage.plane, point);
    return this.reaching(stage).filter(({ mask, below, above }) => {
      const [column, row, off] = pixelOf(mask.plane, there);
      return off >= -below && off < above && isIn(mask, Math.round(column), Math.round(row));
    });
  }
}

// What of a mask is not empty: {left, top, columns, rows, bits, size: of its pixels}; null where all is.
export function cropped(values, columns, rows) {
  let [left, right, top, bottom, size] = [columns, -1, rows, -1, 0];
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      if (!values[at]) continue;
      size += 1;
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
  return { ...found, bits, size };
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
