// Greys and colours of stored values: PS3.3 C.11.1, C.11.2 and C.7.6.3.1, in double precision.
//
// A window is {center, width, function}, {lut}, or null: then values are shown over the whole range
// of their bits.
import { decoded } from "./values.js";

const WHOLE = { u1: [0, 0xff], i1: [-0x80, 0x7f], u2: [0, 0xffff], i2: [-0x8000, 0x7fff] };

const SHAPES = {
  LINEAR({ center, width }) {
    const [middle, range] = [center - 0.5, Math.max(width, 1) - 1];
    return (x) => {
      if (x <= middle - range / 2) return 0;
      return x > middle + range / 2 ? 1 : (x - middle) / range + 0.5;
    };
  },
  LINEAR_EXACT({ center, width }) {
    const range = Math.max(width, 0);
    return (x) => {
      if (x <= center - range / 2) return 0;
      return x > center + range / 2 ? 1 : (x - center) / range + 0.5;
    };
  },
  SIGMOID({ center, width }) {
    const range = width > 0 ? width : Number.MIN_VALUE;
    return (x) => 1 / (1 + Math.exp((-4 * (x - center)) / range));
  },
};

export const isGrey = (rendering) => rendering?.photometric.startsWith("MONOCHROME") ?? false;

// The entry of a table for a number; the first and the last stand for all beyond.
function looker(lut) {
  const bytes = decoded(lut.entries);
  const entries = new Uint16Array(bytes.buffer);
  const end = entries.length - 1;
  return (x) => entries[Math.min(Math.max(Math.floor(x) - lut.first, 0), end)];
}

// What a stored value stands for.
export function meaningOf(rendering, scale = 1) {
  if (rendering.modality_lut) return looker(rendering.modality_lut);
  const { slope, intercept } = rendering;
  return (value) => slope * (value * scale) + intercept;
}

function shapeOf(window, rendering) {
  if (window?.lut) {
    const look = looker(window.lut);
    const most = 2 ** window.lut.bits - 1;
    return (x) => Math.min(look(x) / most, 1);
  }
  return SHAPES[window.function](window);
}

// From a stored value to 0 to 255.
export function greyOf(rendering, window, isInverted, scale = 1) {
  const [meaning, shape] = [meaningOf(rendering, scale), shapeOf(window, rendering)];
  const isDown = (rendering.photometric === "MONOCHROME1") !== isInverted;
  return (value) => {
    const grey = shape(meaning(value));
    return Math.floor((isDown ? 1 - grey : grey) * 255 + 0.5);
  };
}

// Paints values into the pixels of an ImageData.
export function paint(pixels, slice, rendering, window, isInverted) {
  const { values, told } = slice;
  const target = new Uint32Array(pixels.data.buffer);
  if (rendering.photometric === "RGB") paintColours(target, values, rendering, isInverted);
  else if (rendering.photometric === "PALETTE COLOR") {
    paintPalette(target, values, rendering.palette, isInverted);
  } else {
    const grey = greyOf(rendering, window, isInverted, told.scale);
    const word = (value) => (grey(value) * 0x10101) | 0xff000000;
    if (WHOLE[told.type]) paintTable(target, values, told, word);
    else for (let at = 0; at < values.length; at++) target[at] = word(values[at]);
  }
}

const WARM_SIDE = 96;

// What the first picture needs, done with nothing while it is on its way: a browser compiles what has
// run for a while, and until then the same takes several times as long.
export function warmUp() {
  const [rows, columns] = [WARM_SIDE, WARM_SIDE];
  const pixels = new ImageData(columns, rows);
  const rendering = { photometric: "MONOCHROME2", slope: 1, intercept: 0 };
  for (const [type, Values] of [["u2", Uint16Array], ["i2", Int16Array], ["u2", Uint16Array], ["i2", Int16Array]]) {
    const slice = { told: { type, rows, columns, lowest: 0, highest: 4095, scale: 1 }, values: new Values(rows * columns) };
    paint(pixels, slice, rendering, { center: 40, width: 400, function: "LINEAR" }, false);
  }
}

function paintTable(target, values, { type, lowest: said, highest }, word) {
  const [lowest, most] = [Math.max(said, WHOLE[type][0]), Math.min(highest, WHOLE[type][1])];
  const table = new Uint32Array(Math.max(most - lowest + 1, 0));
  for (let at = 0; at < table.length; at++) table[at] = word(lowest + at);
  for (let at = 0; at < values.length; at++) target[at] = table[values[at] - lowest];
}

function paintColours(target, values, { bits }, isInverted) {
  const [count, most] = [target.length, 2 ** bits - 1];
  const flip = isInverted ? 0xffffff : 0;
  const part = bits === 8 ? (value) => value : (value) => Math.floor((value * 255) / most + 0.5);
  for (let at = 0; at < count; at++) {
    const word = part(values[at]) | (part(values[count + at]) << 8);
    target[at] = ((word | (part(values[2 * count + at]) << 16)) ^ flip) | 0xff000000;
  }
}

function paintPalette(target, values, { first, colours }, isInverted) {
  const bytes = decoded(colours);
  const words = new Uint32Array(bytes.length / 3);
  const flip = isInverted ? 0xffffff : 0;
  for (let at = 0; at < words.length; at++) {
    const word = bytes[3 * at] | (bytes[3 * at + 1] << 8) | (bytes[3 * at + 2] << 16);
    words[at] = (word ^ flip) | 0xff000000;
  }
  const end = words.length - 1;
  for (let at = 0; at < values.length; at++) {
    target[at] = words[Math.min(Math.max(values[at] - first, 0), end)];
  }
}

// Draws an overlay's bits, as white as can be, over the pixels of an ImageData.
export function lay(pixels, overlay) {
  const target = new Uint32Array(pixels.data.buffer);
  const { width, height } = pixels;
  eachBit(overlay, height, width, (row, column) => (target[row * width + column] = 0xffffffff));
}

// Tells of each bit that is set, and lies over a picture of so many rows and columns.
function eachBit({ rows, columns, top, left, bits }, height, width, found) {
  const [firstRow, firstColumn] = [Math.max(top - 1, 0), Math.max(left - 1, 0)];
  const [endRow, endColumn] = [Math.min(top - 1 + rows, height), Math.min(left - 1 + columns, width)];
  for (let row = firstRow; row < endRow; row++) {
    for (let column = firstColumn; column < endColumn; column++) {
      const at = (row - top + 1) * columns + column - left + 1;
      if ((bits[Math.floor(at / 8)] >> (at % 8)) & 1) found(row, column);
    }
  }
}

// Every so many rows and columns of a slice, as on a slow line.
export function everyNth({ told, values, overlays }, step) {
  const [rows, columns] = [told.rows, told.columns].map((side) => Math.ceil(side / step));
  const planes = values.length / (told.rows * told.columns); // three of a picture in colour
  const found = new values.constructor(planes * rows * columns);
  for (let plane = 0, at = 0; plane < planes; plane++) {
    for (let row = 0; row < rows; row++) {
      const first = (plane * told.rows + row * step) * told.columns;
      for (let column = 0; column < columns; column++, at++) found[at] = values[first + column * step];
    }
  }
  const fewer = { ...told, rows, columns, step: told.step * step };
  return { told: fewer, values: found, overlays: overlays.map((one) => smaller(one, told, step)) };
}

// A bit of it is set where any is of those that it stands for: a thin line stays one.
function smaller(overlay, told, step) {
  const [rows, columns] = [told.rows, told.columns].map((side) => Math.ceil(side / step));
  const bits = new Uint8Array(Math.ceil((rows * columns) / 8));
  eachBit(overlay, told.rows, told.columns, (row, column) => {
    const at = Math.floor(row / step) * columns + Math.floor(column / step);
    bits[at >> 3] |= 1 << (at & 7);
  });
  return { rows, columns, top: 1, left: 1, bits };
}

// Whether a stored value is one that stands for no tissue, or is no number.
export function isPadding(value, { padding }) {
  if (!Number.isFinite(value)) return true;
  return padding.length > 0 && value >= padding[0] && value <= padding.at(-1);
}

// A window from the 1st to the 99.5th percentile of every 16th value.
export function percentiles(slice, rendering) {
  const meaning = meaningOf(rendering, slice.told.scale);
  const some = [];
  const step = slice.values.length > 4096 ? 16 : 1;
  for (let at = 0; at < slice.values.length; at += step) {
    if (!isPadding(slice.values[at], rendering)) some.push(meaning(slice.values[at]));
  }
  const sorted = Float64Array.from(some).sort();
  if (!sorted.length) return { center: 0.5, width: 1, function: "LINEAR_EXACT" };
  const at = (part) => sorted[Math.min(Math.floor(part * sorted.length), sorted.length - 1)];
  const [low, high] = [at(0.01), at(0.995)];
  const width = high - low || Math.abs(high) / 1000 || 1;
  return { center: (low + high) / 2, width, function: "LINEAR_EXACT" };
}

// What is shown where the file says nothing: small values as they are, others by percentiles.
export function unsaid(slice, rendering) {
  if (rendering.bits > 8 || rendering.modality_lut || slice.told.type === "f4") {
    return percentiles(slice, rendering);
  }
  const { slope, intercept } = rendering;
  const low = slice.told.type.startsWith("i") ? -(2 ** (rendering.bits - 1)) : 0;
  const range = 2 ** rendering.bits - 1;
  const ends = [low, low + range].map((value) => slope * value + intercept);
  const width = Math.abs(ends[1] - ends[0]);
  return { center: (ends[0] + ends[1]) / 2, width, function: "LINEAR_EXACT" };
}
