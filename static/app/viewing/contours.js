// The contours of a structure set over the slices of a series: `app/viewing/contours.py` makes them.
//
// Which slice a contour is drawn on is decided for each slice by what the slice itself says. One
// that names an image of the series is drawn on that, if all of its points lie within half a spacing
// of that image's plane; else it is drawn nowhere. One that names none is drawn on the slice within
// half a spacing of which it lies; where several closed ones of a ROI, of different planes, lie so near
// to one slice, as those of thinner slices do, it has those of the nearest plane. A slice's spacing is
// the distance to its nearest neighbour along their normal, which may have a place and no picture; of
// one that has none, its thickness. As long as it is not known where both of its neighbours lie, or
// that they do not say so, nothing is drawn on it. Another frame of reference, or one that is not
// known, is none that can be compared: what lies in it is drawn at most on the very image that it
// names, and only where one of the two does not say.
//
// A contour that is not parallel to a plane is cut by it: `cuts.js`.
import { Cuts, isParallel, turnOf } from "./cuts.js";
import { Shape } from "./shapes.js";
import { along, liesOf } from "./space.js";
import { valuesOf } from "./values.js";

const ALONE = 1; // mm: half a spacing of a slice that has no neighbour and no thickness
const SAME = 0.01; // mm, of positions
const ROUNDED = 0.01; // mm, that points are rounded by, and some
const TINY = 1e-6; // mm
const FLAT = 0.05; // mm: contours that lie so alike are of one plane
const ALIKE = 1 - 5e-9; // the cosine between normals that are one: 0.0001 radians
const MOST_POINTS = 1_000_000; // of which paths are kept

const CLOSED = ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"];
const OPEN = ["OPEN_PLANAR", "OPEN_NONPLANAR"];

// The contours of an answer; null where it came damaged.
export async function contoursOf(buffer) {
  const head = new DataView(buffer);
  const [length, size] = [head.getUint32(0, true), head.getUint32(4, true)];
  const words = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  if (words.why_not || !words.points) return new Contours(words, new Int32Array());
  const packed = new Uint8Array(buffer, 8 + length, size);
  const values = await valuesOf(packed, { type: "i4", rows: 3, columns: words.points }, 1);
  return values && new Contours(words, values);
}

export class Contours {
  // `values`: all x, all y, all z, in `words.unit` mm.
  constructor(words, values) {
    const { unit, points, types, images, rois, slices } = words;
    this.words = words;
    this.count = points ?? 0;
    this.points = new Float64Array(values.length);
    for (let at = 0; at < values.length; at++) this.points[at] = values[at] * unit;
    this.rois = rois.map((roi, at) => ({ ...roi, at, contours: [] }));
    this.contours = [];
    let from = 0;
    rois.forEach(({ contours }, at) => {
      for (const [type, count, image, frame] of contours) {
        const [object, isHere] = image < 0 ? [0, false] : images[image];
        const one = {
          at: this.contours.length, roi: at, from, to: from + count,
          kind: kindOf(types[type], count), object: isHere ? object : 0, frame,
        };
        this.rois[at].contours.push(one);
        this.contours.push(one);
        from += count;
      }
    });
    this.named = groupedBy(this.contours.filter(({ object }) => object), ({ object }) => object);
    this.numbers = groupedBy(slices.map(([object, frame], number) => ({ object, frame, number })), ({ object }) => object);
    this.slices = new Map(); // that are known, by number: {object, frame, plane, lies, stack}
    this.settled = new Set(); // those of them whose neighbours are known
    this.stacks = new Map(); // by number: the positions of a stack's slices that lie alike
    this.directions = [];
    this.last = null; // {direction, places}
    this.kept = new Map(); // by slice: {half, shapes}
    this.keptPoints = 0;
    this.sliceCount = slices.length;
    this.cuts = new Cuts(this);
  }

  // A slice is known: {object, frame (from 0), stack, plane (null where it has none), thickness}, and
  // of one without a picture its position and orientation, as far as these are known. `stack` is one
  // {first, last} for all slices from the one number to the other.
  see(number, slice) {
    if (this.slices.get(number)?.plane) return;
    const lies = slice.plane ?? liesOf(slice);
    this.slices.set(number, { ...slice, lies });
    this.isJudged = null;
    if (!lies) return;
    const direction = this.directionOf(lies.normal);
    const positions = this.positionsOf(slice.stack, direction);
    const at = along(direction, lies.origin);
    positions.splice(lowerBound(positions, at), 0, at);
  }

  x(at) {
    return this.points[at];
  }

  y(at) {
    return this.points[this.count + at];
  }

  z(at) {
    return this.points[2 * this.count + at];
  }

  // --- on a slice ---------------------------------------------------------------------------------

  // What is drawn on a slice, a `Shape` for each ROI that has something there.
  on(number) {
    const half = this.halfOf(number);
    if (half === null) return [];
    const kept = this.kept.get(number);
    if (kept?.half === half) return kept.shapes;
    const { plane } = this.slices.get(number);
    const shapes = new Map();
    for (const contour of this.contoursOn(number)) this.shapeIn(shapes, contour).outline(this, contour, plane);
    const { unnamed: free } = this.directionOf(plane.normal);
    const cut = free.filter((contour) => this.isCut(contour, plane, half));
    this.cuts.add((contour) => this.shapeIn(shapes, contour), plane, cut);
    return this.keep(number, half, inOrder(shapes));
  }

  // What is drawn on any other plane of the patient.
  across(plane) {
    const shapes = new Map();
    const isSeen = (contour) => this.isIn(contour, plane) && this.stateOf(contour) !== "elsewhere";
    const seen = this.contours.filter(isSeen);
    const direction = this.directionOf(plane.normal);
    const at = along(direction, plane.origin);
    const whole = new Set(seen.filter((contour) => this.isAlong(contour, plane, direction, at)));
    const cut = seen.filter((contour) => contour.kind === "closed" || !whole.has(contour));
    this.cuts.add((contour) => this.shapeIn(shapes, contour), plane, cut);
    for (const contour of whole) this.shapeIn(shapes, contour).outline(this, contour, plane);
    return inOrder(shapes);
  }

  // Whether a contour lies in a plane: an open one or a point in that of two that it is nearer to.
  isAlong(contour, plane, direction, at) {
    const isClosed = contour.kind === "closed";
    const half = isClosed ? this.cuts.halfOf(contour) : plane.thickness / 2 || ALONE;
    if (!this.isFlat(contour, direction, half) || !isWithin(direction, contour, at, half)) return false;
    return isClosed || isNearest(direction, contour, at, half);
  }

  keep(number, half, shapes) {
    if (this.keptPoints > MOST_POINTS) this.kept.clear();
    if (!this.kept.size) this.keptPoints = 0;
    this.keptPoints += shapes.reduce((sum, { points }) => sum + points, 0);
    this.kept.set(number, { half, shapes });
    return shapes;
  }

  shapeIn(shapes, { roi }) {
    if (!shapes.has(roi)) shapes.set(roi, new Shape(roi));
    return shapes.get(roi);
  }

  // The contours that are drawn on a slice as they are, in the order of their ROIs.
  contoursOn(number) {
    const all = this.contoursNear(number);
    const isOneOfMany = ({ object, kind }) => !object && kind === "closed";
    if (!all.some(isOneOfMany)) return all;
    const { plane } = this.slices.get(number);
    const direction = this.directionOf(plane.normal);
    const off = (contour) => Math.abs(direction.middle(contour.at) - along(direction, plane.origin));
    const nearest = new Map(); // by ROI
    for (const contour of all) {
      if (isOneOfMany(contour)) nearest.set(contour.roi, Math.min(nearest.get(contour.roi) ?? Infinity, off(contour)));
    }
    return all.filter((one) => !isOneOfMany(one) || off(one) <= nearest.get(one.roi) + FLAT);
  }

  // Those that may be: of one plane of a ROI or of several.
  contoursNear(number) {
    const half = this.halfOf(number);
    if (half === null) return [];
    const slice = this.slices.get(number);
    const direction = this.directionOf(slice.plane.normal);
    const at = along(direction, slice.plane.origin);
    const named = this.named.get(slice.object) ?? [];
    const found = [...named, ...unnamed(direction, at, half)];
    return found
      .filter((contour) => this.isOn(contour, slice, direction, at, half))
      .sort((one, other) => one.at - other.at);
  }

  isOn(contour, slice, direction, at, half) {
    if (contour.object && contour.frame && contour.frame !== slice.frame + 1) return false;
    if (!this.isIn(contour, slice.plane)) {
      const isUnsaid = !(slice.plane.frame && this.rois[contour.roi].frame_of_reference);
      if (!(contour.object && isUnsaid)) return false;
    }
    if (!contour.kind || !this.isFlat(contour, direction, half)) return false;
    if (!isWithin(direction, contour, at, half)) return false;
    return this.isBound(contour) || isNearest(direction, contour, at, half);
  }

  // Whether it names one slice.
  isBound({ object, frame }) {
    return Boolean(object && (frame || this.numbers.get(object)?.length === 1));
  }

  isIn({ roi }, { frame }) {
    return Boolean(frame) && this.rois[roi].frame_of_reference === frame;
  }

  isFlat(contour, direction, half) {
    const spread = direction.high[contour.at] - direction.low[contour.at];
    return spread <= 2 * (half + ROUNDED) && this.isParallel(contour, direction, spread);
  }

  // One that names no image of the series and is not parallel to its slices.
  isCut(contour, plane, half) {
    if (!["closed", "open"].includes(contour.kind) || contour.object || !this.isIn(contour, plane)) return false;
    return !this.isFlat(contour, this.directionOf(plane.normal), half);
  }

  isParallel(contour, { normal }, spread) {
    return contour.kind !== "closed" || isParallel(this.turnOf(contour), spread, normal);
  }

  turnOf(contour) {
    contour.turn ??= turnOf(this, contour);
    return contour.turn;
  }

  // --- where slices and contours lie --------------------------------------------------------------

  // Half of a slice's spacing, in mm; null where it has no plane, or as long as one of its neighbours
  // is not known.
  halfOf(number) {
    const slice = this.slices.get(number);
    if (!slice?.plane || this.unknownBeside(number).length) return null;
    const direction = this.directionOf(slice.plane.normal);
    const at = along(direction, slice.plane.origin);
    const positions = this.positionsOf(slice.stack, direction);
    let [low, high] = [lowerBound(positions, at - SAME) - 1, lowerBound(positions, at + SAME)];
    const distances = [at - positions[low], positions[high] - at].filter((one) => one > 0);
    if (distances.length) return Math.min(...distances) / 2;
    if (!this.isAllKnown) return null;
    return slice.thickness > 0 ? slice.thickness / 2 : ALONE;
  }

  // The numbers that have to be known before it is known how near a slice's neighbours lie.
  unknownBeside(number) {
    const slice = this.slices.get(number);
    if (!slice?.plane || this.settled.has(number)) return [];
    const { first, last } = slice.stack;
    const ends = [this.neighbour(number, -1), this.neighbour(number, 1)];
    const unknown = ends.filter((one) => one >= first && one <= last && !this.slices.has(one));
    if (!unknown.length) this.settled.add(number);
    return unknown;
  }

  // The next number on a side that is not known, or does not lie where the slice lies.
  neighbour(number, step) {
    const { plane, stack } = this.slices.get(number);
    const direction = this.directionOf(plane.normal);
    const isThere = (one) => one?.lies && Math.abs(along(direction, one.lies.origin) - along(direction, plane.origin)) <= SAME;
    let next = number + step;
    while (next >= stack.first && next <= stack.last && isThere(this.slices.get(next))) next += step;
    return next;
  }

  get isAllKnown() {
    return this.slices.size >= this.sliceCount;
  }

  // Where a stack's slices lie along a direction, in order.
  positionsOf(stack, direction) {
    if (!this.stacks.has(stack)) this.stacks.set(stack, new Map());
    const alike = this.stacks.get(stack);
    if (!alike.has(direction)) alike.set(direction, []);
    return alike.get(direction);
  }

  directionOf(normal) {
    const is = ({ normal: own }) => own[0] * normal[0] + own[1] * normal[1] + own[2] * normal[2] > ALIKE * lengthOf(own, normal);
    let found = this.directions.find(is);
    if (!found) this.directions.push((found = new Direction(this, normal)));
    return found;
  }

  // --- what is said of a ROI ----------------------------------------------------------------------

  // What has become of a contour: "" where it is drawn, or not known yet; else why it is not drawn.
  stateOf(contour) {
    return this.judged.states[contour.at];
  }

  // Of all contours what has become of them, and the slices of each ROI.
  get judged() {
    if (this.isJudged) return this.isJudged;
    const all = this.isAllKnown ? this.everywhere() : null;
    const states = this.contours.map((contour) => this.unlessOn(contour, all));
    for (const number of this.slices.keys()) {
      for (const { at } of this.contoursNear(number)) states[at] = "between";
    }
    const numbers = this.rois.map(() => new Set());
    for (const number of this.slices.keys()) {
      for (const { at, roi } of this.contoursOn(number)) {
        states[at] = "";
        numbers[roi].add(number);
      }
    }
    this.isJudged = { states, numbers };
    return this.isJudged;
  }

  // The frames of reference of all slices, and their directions with the largest half a spacing.
  everywhere() {
    const [frames, directions] = [new Set(), new Map()];
    for (const [number, { plane }] of this.slices) {
      if (!plane) continue;
      frames.add(plane.frame);
      const direction = this.directionOf(plane.normal);
      directions.set(direction, Math.max(directions.get(direction) ?? 0, this.halfOf(number)));
    }
    return { frames, directions };
  }

  // Why a contour is not drawn, if it is on none of the slices that are known; "" as long as it may
  // be on one that is not.
  unlessOn(contour, all) {
    if (!contour.kind) return "unknown";
    if (contour.object) return this.unlessOnNamed(contour);
    if (!all) return "";
    const own = this.rois[contour.roi].frame_of_reference;
    if (all.frames.size && !(own && all.frames.has(own))) return "frame";
    const isFlat = ([direction, half]) => this.isFlat(contour, direction, half);
    return contour.kind === "point" || [...all.directions].some(isFlat) ? "nowhere" : "cut";
  }

  unlessOnNamed(contour) {
    const numbers = this.namedBy(contour);
    if (!numbers.every((number) => this.isSettled(number))) return "";
    const frames = numbers.map((number) => this.slices.get(number).plane?.frame).filter(Boolean);
    const own = this.rois[contour.roi].frame_of_reference;
    return own && frames.length && frames.every((frame) => frame !== own) ? "frame" : "elsewhere";
  }

  // The numbers of the slices that a contour names.
  namedBy({ object, frame }) {
    const all = this.numbers.get(object) ?? [];
    return all.filter((one) => !frame || one.frame === frame - 1).map(({ number }) => number);
  }

  // Whether it is known what lies on a slice.
  isSettled(number) {
    return this.slices.has(number) && (!this.slices.get(number).plane || this.halfOf(number) !== null);
  }

  // The sentences of a ROI's line.
  saidOf(roi) {
    if (!roi.contours.length) return ["No contours."];
    const counts = groupedBy(roi.contours, (contour) => this.stateOf(contour));
    const count = (state) => counts.get(state)?.length ?? 0;
    const why = Object.keys(WHY_NOT).filter(count).map((state) => WHY_NOT[state](count(state), count(state) === roi.contours.length));
    const cut = count("cut");
    return [...(why.length ? [`Not drawn: ${why.join("; ")}.`] : []), ...(cut ? [CUT(cut)] : [])];
  }

  // Whether something of a ROI is not drawn that was to be expected: not what lies beside the slices.
  isAmiss(roi) {
    return roi.contours.some((contour) => AMISS.includes(this.stateOf(contour)));
  }

  // The numbers of the slices that it is drawn on; also those that its contours name and that are
  // not known yet.
  slicesOf(roi) {
    const numbers = new Set(this.judged.numbers[roi.at]);
    for (const contour of roi.contours) {
      if (!this.isBound(contour)) continue;
      for (const number of this.namedBy(contour)) if (!this.isSettled(number)) numbers.add(number);
    }
    return [...numbers].sort((one, other) => one - other);
  }

  // The middle of them: of those of the stack that begins and ends there, if there are any.
  middleOf(roi, first, last) {
    const all = this.slicesOf(roi);
    const here = all.filter((number) => number >= first && number <= last);
    const these = here.length ? here : all;
    return these[these.length >> 1] ?? null;
  }

  // The point of the patient in the middle of what a ROI has on a slice; null where that is not here.
  centreOf(roi, number) {
    const ends = [0, 1, 2].map(() => [Infinity, -Infinity]);
    for (const contour of this.contoursOn(number)) {
      if (contour.roi !== roi.at) continue;
      for (let at = contour.from; at < contour.to; at++) {
        [this.x(at), this.y(at), this.z(at)].forEach((one, axis) => {
          ends[axis] = [Math.min(ends[axis][0], one), Math.max(ends[axis][1], one)];
        });
      }
    }
    return ends[0][0] <= ends[0][1] ? ends.map(([low, high]) => (low + high) / 2) : null;
  }
}

const contours = (count) => (count === 1 ? "1 contour" : `${count} contours`);
const they = (count, one, more) => (count === 1 ? one : more);

const AMISS = ["frame", "elsewhere", "unknown"];
const WHY_NOT = {
  frame: (count, isAll) => `${isAll ? "it lies" : `${contours(count)} ${they(count, "lies", "lie")}`} in another frame of reference than these images`,
  elsewhere: (count) => `${contours(count)} ${they(count, "lies elsewhere than the image that it names", "lie elsewhere than the images that they name")}`,
  nowhere: (count) => `${contours(count)} ${they(count, "lies", "lie")} on no slice of this series`,
  between: (count) => `${contours(count)} ${they(count, "lies", "lie")} between slices, where nearer ones are drawn`,
  unknown: (count) => `${contours(count)} of no known type`,
};
const CUT = (count) => `${contours(count)} ${they(count, "is", "are")} not parallel to the slices: seen where the slices cut ${they(count, "it", "them")}.`;

function kindOf(type, count) {
  if (!count) return "";
  if (type === "POINT") return "point";
  if (CLOSED.includes(type)) return ["point", "open"][count - 1] ?? "closed";
  if (OPEN.includes(type)) return count === 1 ? "point" : "open";
  return "";
}

const inOrder = (shapes) => [...shapes.values()].sort((one, other) => one.roi - other.roi);

// How far contours lie along a normal.
class Direction {
  constructor(of, normal) {
    this.normal = normal;
    this.of = of;
    const places = this.places();
    const count = of.contours.length;
    const [low, high] = [new Float64Array(count).fill(Infinity), new Float64Array(count).fill(-Infinity)];
    for (const { at, from, to } of of.contours) {
      for (let one = from; one < to; one++) {
        if (places[one] < low[at]) low[at] = places[one];
        if (places[one] > high[at]) high[at] = places[one];
      }
    }
    [this.low, this.high] = [low, high];
    this.unnamed = of.contours.filter(({ object, kind }) => kind && !object);
    this.unnamed.sort((one, other) => this.middle(one.at) - this.middle(other.at));
    this.middles = Float64Array.from(this.unnamed, ({ at }) => this.middle(at));
  }

  // Of all points, how far they lie along it: kept for the direction that was asked last.
  places() {
    const { points, count, last } = this.of;
    if (last?.direction === this) return last.places;
    const places = new Float64Array(count);
    const [a, b, c] = this.normal;
    for (let at = 0; at < count; at++) {
      places[at] = a * points[at] + b * points[count + at] + c * points[2 * count + at];
    }
    this.of.last = { direction: this, places };
    return places;
  }

  middle(at) {
    return (this.low[at] + this.high[at]) / 2;
  }
}

// Of two planes that it lies in the middle of it is one's.
function isNearest(direction, contour, at, half) {
  const off = direction.middle(contour.at) - at;
  return off > TINY - half && off <= half + TINY;
}

function isWithin({ low, high }, contour, at, half) {
  return low[contour.at] - at >= -half - ROUNDED && high[contour.at] - at <= half + ROUNDED;
}

// Those that name no image and whose middle lies within half a spacing.
function unnamed({ unnamed: all, middles }, at, half) {
  return all.slice(lowerBound(middles, at - half - ROUNDED), lowerBound(middles, at + half + ROUNDED));
}

// The first that is not smaller.
function lowerBound(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function groupedBy(all, keyOf) {
  const found = new Map();
  for (const one of all) {
    const key = keyOf(one);
    if (!found.has(key)) found.set(key, []);
    found.get(key).push(one);
  }
  return found;
}

const lengthOf = (one, other) => Math.hypot(...one) * Math.hypot(...other);
