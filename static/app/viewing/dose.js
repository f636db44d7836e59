// A dose's grid, and what is drawn of it over a plane of the patient. Lengths are in mm.
//
// The grid's points lie at its position + column * spacing along a row, row * spacing along a column,
// and at each plane's offset along row x column: between them a dose is interpolated linearly, outside
// of them there is none. What is sampled is a value for each pixel of a plane, NaN where there is none.

const MOST_SAMPLED = 1 << 20; // pixels; of a larger plane every second or fourth row and column
const TABLE = 4_096; // entries in which an offset's plane is looked up
const LEAST = 1e-9; // of a step, below which it is none
const EDGE = 1e-6; // of the distance between points, by which one may be missed
const COLOURS = 256;

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];

// How much memory a dose needs, in bytes.
export const bytesOf = ({ rows, columns, frames }) => 4 * rows * columns * frames;

export class Grid {
  // `told` is what the server says of it.
  constructor(told) {
    Object.assign(this, told);
    this.size = this.rows * this.columns;
    this.values = new Float32Array(this.size * this.frames);
    this.row = this.orientation.slice(0, 3);
    this.column = this.orientation.slice(3);
    this.normal = cross(this.row, this.column);
    this.isDescending = this.offsets[0] > this.offsets.at(-1);
    this.heights = Float64Array.from(this.isDescending ? [...this.offsets].reverse() : this.offsets);
    this.lookUp = lookUp(this.heights);
    this.highest = 0;
    this.lowest = 0;
  }

  // Take a frame's stored values.
  fill(frame, stored, scale = 1) {
    const start = this.size * (this.isDescending ? this.frames - 1 - frame : frame);
    const factor = this.scaling * scale;
    for (let at = 0; at < this.size; at++) {
      const value = (this.values[start + at] = stored[at] * factor);
      if (value > this.highest) this.highest = value;
      if (value < this.lowest) this.lowest = value;
    }
  }

  // A point of the patient as column, row and mm along the normal, from the first point of all.
  within(point) {
    const from = [0, 1, 2].map((n) => point[n] - this.position[n]);
    return this.along(from);
  }

  along(from) {
    const { row, column, normal, spacing } = this;
    return [dot(from, row) / spacing[1], dot(from, column) / spacing[0], dot(from, normal)];
  }

  // The dose at a point of the patient; NaN outside the grid.
  at(point) {
    const found = Float32Array.of(NaN);
    trilinear(this, found, 0, 1, this.within(point), [0, 0, 0]);
    return found[0];
  }
}

// Of so many equal steps from the first height to the last, the number of the plane below each.
function lookUp(heights) {
  const [first, last] = [heights[0], heights.at(-1)];
  let closest = Infinity;
  for (let n = 1; n < heights.length; n++) closest = Math.min(closest, heights[n] - heights[n - 1]);
  const steps = Math.min(Math.ceil((last - first) / closest), TABLE);
  const below = new Uint16Array(steps + 1);
  for (let at = 0, plane = 0; at <= steps; at++) {
    const height = first + ((last - first) * at) / steps;
    while (plane < heights.length - 2 && heights[plane + 1] <= height) plane++;
    below[at] = plane;
  }
  return { below, perStep: steps / (last - first) };
}

// --- on a plane ---------------------------------------------------------------------------------

// The dose on a plane, as `planeOf` has it: {values, rows, columns, every, isAnywhere}; one value
// stands for every so many rows and columns.
export function sampled(grid, plane) {
  let every = 1;
  while ((plane.rows * plane.columns) / every ** 2 > MOST_SAMPLED) every *= 2;
  const rows = Math.ceil(plane.rows / every);
  const columns = Math.ceil(plane.columns / every);
  const across = grid.along(plane.row.map((one) => one * plane.spacing[1])).map(straight);
  const down = grid.along(plane.column.map((one) => one * plane.spacing[0])).map(straight);
  const origin = grid.within(plane.origin);
  const middle = (every - 1) / 2;
  const first = origin.map((one, n) => one + middle * (across[n] + down[n]));
  const step = across.map((one) => one * every);
  const values = new Float32Array(rows * columns).fill(NaN);
  const isParallel = across[2] === 0 && down[2] === 0;
  const flat = isParallel ? planeAt(grid, first[2]) : null;
  let isAnywhere = false;
  for (let row = 0; row < rows && !(isParallel && !flat); row++) {
    const from = first.map((one, n) => one + row * every * down[n]);
    const isHere = flat
      ? bilinear(grid, flat, values, row * columns, columns, from, step)
      : trilinear(grid, values, row * columns, columns, from, step);
    isAnywhere ||= isHere;
  }
  return { values, rows, columns, every, isAnywhere };
}

const straight = (step) => (Math.abs(step) < LEAST ? 0 : step);

// All values at a height; null outside the grid.
function planeAt({ values, size, heights, lookUp: { below, perStep } }, height) {
  const [low, high] = [heights[0], heights.at(-1)];
  const slack = EDGE * (high - low);
  if (!(height >= low - slack && height <= high + slack)) return null;
  const inside = Math.min(Math.max(height, low), high);
  let plane = below[Math.min(Math.floor((inside - low) * perStep), below.length - 1)];
  while (plane < heights.length - 2 && heights[plane + 1] <= inside) plane++;
  const part = (inside - heights[plane]) / (heights[plane + 1] - heights[plane]);
  const start = plane * size;
  const found = new Float32Array(size);
  for (let at = 0; at < size; at++) {
    const value = values[start + at];
    found[at] = value + part * (values[start + size + at] - value);
  }
  return found;
}

// The steps, from the first to the last, that are within the grid: where from + n * step is between
// the least and the most in each direction. The first is after the last where there are none.
function inside(count, from, step, most) {
  let [first, last] = [0, count - 1];
  for (let n = 0; n < from.length; n++) {
    const [least, greatest] = most[n];
    const slack = EDGE * Math.max(greatest - least, 1);
    if (step[n] === 0) {
      if (!(from[n] >= least - slack && from[n] <= greatest + slack)) return [1, 0];
      continue;
    }
    const ends = [(least - slack - from[n]) / step[n], (greatest + slack - from[n]) / step[n]];
    first = Math.max(first, Math.ceil(Math.min(...ends)));
    last = Math.min(last, Math.floor(Math.max(...ends)));
  }
  return [first, last];
}

function bilinear({ columns, rows }, flat, values, start, count, [u, v], [du, dv]) {
  const most = [[0, columns - 1], [0, rows - 1]];
  const [first, last] = inside(count, [u, v], [du, dv], most);
  for (let n = first; n <= last; n++) {
    const x = u + n * du;
    const y = v + n * dv;
    const column = x < 0 ? 0 : x >= columns - 1 ? columns - 2 : x | 0;
    const row = y < 0 ? 0 : y >= rows - 1 ? rows - 2 : y | 0;
    const at = row * columns + column;
    const right = x - column;
    const lower = y - row;
    const above = flat[at] + right * (flat[at + 1] - flat[at]);
    const below = flat[at + columns] + right * (flat[at + columns + 1] - flat[at + columns]);
    values[start + n] = above + lower * (below - above);
  }
  return last >= first;
}

function trilinear(grid, values, start, count, [u, v, w], [du, dv, dw]) {
  const { columns, rows, size, heights, values: grid3, lookUp: { below, perStep } } = grid;
  const planes = heights.length;
  const low = heights[0];
  const most = [[0, columns - 1], [0, rows - 1], [low, heights[planes - 1]]];
  const [first, last] = inside(count, [u, v, w], [du, dv, dw], most);
  for (let n = first; n <= last; n++) {
    const x = u + n * du;
    const y = v + n * dv;
    const z = w + n * dw;
    const column = x < 0 ? 0 : x >= columns - 1 ? columns - 2 : x | 0;
    const row = y < 0 ? 0 : y >= rows - 1 ? rows - 2 : y | 0;
    const step = z <= low ? 0 : ((z - low) * perStep) | 0;
    let plane = below[step < below.length ? step : below.length - 1];
    while (plane < planes - 2 && heights[plane + 1] <= z) plane++;
    const right = x - column;
    const lower = y - row;
    const part = (z - heights[plane]) / (heights[plane + 1] - heights[plane]);
    let at = plane * size + row * columns + column;
    let above = grid3[at] + right * (grid3[at + 1] - grid3[at]);
    let under = grid3[at + columns] + right * (grid3[at + columns + 1] - grid3[at + columns]);
    const near = above + lower * (under - above);
    at += size;
    above = grid3[at] + right * (grid3[at + 1] - grid3[at]);
    under = grid3[at + columns] + right * (grid3[at + columns + 1] - grid3[at + columns]);
    const far = above + lower * (under - above);
    values[start + n] = near + part * (far - near);
  }
  return last >= first;
}

// --- the wash -----------------------------------------------------------------------------------

// From dark to light, so that they follow each other in grey, too, and for who sees few colours.
const STOPS = [[13, 8, 135], [126, 3, 168], [204, 71, 120], [248, 149, 64], [240, 249, 33]];

// Red, green and blue of a part of the whole, from 0 to 1.
export function colourOf(part) {
  const at = Math.min(Math.max(part, 0), 1) * (STOPS.length - 1);
  const stop = Math.min(Math.floor(at), STOPS.length - 2);
  return STOPS[stop].map((one, n) => Math.round(one + (at - stop) * (STOPS[stop + 1][n] - one)));
}

// The colours from 0 to the maximum, as words of an ImageData.
const TABLE_OF_COLOURS = Uint32Array.from({ length: COLOURS }, (_, n) => {
  const [red, green, blue] = colourOf(n / (COLOURS - 1));
  return (255 << 24) | (blue << 16) | (green << 8) | red; // all of today's machines are little endian
});

// Lay colours over what is sampled where it is at least the threshold; all else stays clear.
export function wash(pixels, { values }, highest, threshold) {
  const words = new Uint32Array(pixels.data.buffer);
  const factor = (COLOURS - 1) / highest;
  for (let at = 0; at < words.length; at++) {
    const value = values[at];
    // NaN is less than nothing, too.
    words[at] = value >= threshold ? TABLE_OF_COLOURS[value <= 0 ? 0 : (value * factor + 0.5) | 0] : 0;
  }
}

// --- isodoses -----------------------------------------------------------------------------------

const NONE = 255; // the band of what has no dose

// A path for each level, as a drawing over the picture has it: "" where there is none of it.
export function isodoses({ values, rows, columns, every }, levels) {
  const sorted = levels.map((level, index) => ({ level, index })).sort((a, b) => a.level - b.level);
  const bands = bandsOf(values, sorted.map(({ level }) => level));
  const nexts = sorted.map(() => new Map());
  for (let row = 0; row + 1 < rows; row++) {
    for (let at = row * columns, end = at + columns - 1; at < end; at++) {
      const a = bands[at];
      const b = bands[at + 1];
      const c = bands[at + columns];
      const d = bands[at + columns + 1];
      if (a === b && a === c && a === d) continue;
      const least = Math.min(a, b, c, d);
      const most = Math.max(a, b, c, d);
      if (most === NONE) continue;
      for (let band = least; band < most; band++) throughCell(nexts[band], values, at, columns, sorted[band].level);
    }
  }
  const paths = levels.map(() => "");
  sorted.forEach(({ level, index }, n) => {
    paths[index] = joined(nexts[n], placeOn(values, columns, level, every));
  });
  return paths;
}

// How many of the levels each value reaches.
function bandsOf(values, levels) {
  const bands = new Uint8Array(values.length);
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    let band = 0;
    while (band < levels.length && value >= levels[band]) band++;
    bands[at] = value === value ? band : NONE;
  }
  return bands;
}

// Lines through the square of four values, from edge to edge, with what is more on their right. An
// edge has the number of the value at its start: twice that to the right of it, and 1 more below it.
function throughCell(next, values, at, columns, level) {
  const [a, b, c, d] = [values[at], values[at + 1], values[at + columns], values[at + columns + 1]];
  const [top, left] = [2 * at, 2 * at + 1];
  const [right, bottom] = [2 * (at + 1) + 1, 2 * (at + columns)];
  const kind = (a >= level ? 1 : 0) | (b >= level ? 2 : 0) | (c >= level ? 4 : 0) | (d >= level ? 8 : 0);
  switch (kind) {
    case 1: next.set(top, left); break;
    case 2: next.set(right, top); break;
    case 3: next.set(right, left); break;
    case 4: next.set(left, bottom); break;
    case 5: next.set(top, bottom); break;
    case 7: next.set(right, bottom); break;
    case 8: next.set(bottom, right); break;
    case 10: next.set(bottom, top); break;
    case 11: next.set(bottom, left); break;
    case 12: next.set(left, right); break;
    case 13: next.set(top, right); break;
    case 14: next.set(left, top); break;
    default: {
      // Two corners that lie across from each other: the middle tells whether they are joined.
      const isJoined = (a + b + c + d) / 4 >= level;
      if (kind === 6) {
        next.set(isJoined ? left : right, top);
        next.set(isJoined ? right : left, bottom);
      } else if (kind === 9) {
        next.set(top, isJoined ? right : left);
        next.set(bottom, isJoined ? left : right);
      }
    }
  }
}

// Where on an edge a level is crossed.
function placeOn(values, columns, level, every) {
  const middle = every / 2;
  return (edge) => {
    const at = edge >> 1;
    const other = edge & 1 ? at + columns : at + 1;
    const part = (level - values[at]) / (values[other] - values[at]);
    const [column, row] = [at % columns, Math.floor(at / columns)];
    const x = (edge & 1 ? column : column + part) * every + middle;
    const y = (edge & 1 ? row + part : row) * every + middle;
    return `${rounded(x)} ${rounded(y)}`;
  };
}

const rounded = (value) => Math.round(value * 100) / 100;

// All lines, each from its beginning to its end, as one path.
function joined(next, place) {
  const ends = new Set(next.values());
  const open = [...next.keys()].filter((edge) => !ends.has(edge));
  const parts = [];
  const follow = (first) => {
    const points = [];
    let edge = first;
    do {
      points.push(place(edge));
      const after = next.get(edge);
      next.delete(edge);
      edge = after;
    } while (edge !== undefined && edge !== first);
    parts.push(`M${points.join("L")}${edge === first ? "Z" : ""}`);
  };
  for (const edge of open) follow(edge);
  for (const edge of next.keys()) follow(edge);
  return parts.join("");
}

// Some points of a path's longest line, evenly apart along its corners.
export function pointsOn(path, most) {
  const longest = path.split("M").reduce((best, one) => (one.length > best.length ? one : best));
  if (!longest) return [];
  const corners = longest.replace("Z", "").split("L");
  const count = Math.min(corners.length, most);
  return Array.from({ length: count }, (_, n) => (
    corners[Math.floor((n * corners.length) / count)].split(" ").map(Number)
  ));
}

// --- in words -----------------------------------------------------------------------------------

// A dose as people read it; NaN is none.
export function inWords({ unit, highest }, value) {
  if (Number.isNaN(value)) return "no dose here";
  if (!unit) return `${value.toFixed(2)} relative`;
  const part = highest > 0 ? ` (${((100 * value) / highest).toFixed(1)} % of the grid's maximum)` : "";
  return `${value.toFixed(2)} ${unit}${part}`;
}
