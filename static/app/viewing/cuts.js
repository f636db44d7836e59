// Contours cut by a plane that is not parallel to them. An open one is seen where its line crosses the
// plane, a dot each time.
//
// A ROI's closed contours that lie in one plane are a layer of it, as thick as its layers are apart. Where
// its lines cross the picture's plane, even-odd, the layer is seen from the one crossing to the
// next; where two layers follow each other, a line is drawn where only one of them is.
import { along, pixelOf } from "./space.js";

const ONE_DIRECTION = 0.999; // the cosine between normals of contours that are layers of each other
const PARALLEL = 0.97; // the cosine between a contour's and a plane's normal
const FLAT = 0.05; // mm: points that lie so alike are in one plane, whatever a small loop's normal is
const JOINED = 1.5; // usual distances, that layers may be apart and follow each other
const ALONE = 2; // mm: how thick a layer is where no two are known
const LEAST = 1e-6; // mm²
const TINY = 1e-6; // mm
const A_WHILE = 8; // ms

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];
const scaled = (a, by) => a.map((one) => one * by);
const unit = (a) => scaled(a, 1 / Math.hypot(...a));

// Twice a contour's area, along its normal (Newell's).
export function turnOf(set, { from, to }) {
  const [x, y, z] = [set.x(from), set.y(from), set.z(from)];
  let [a, b, c] = [0, 0, 0];
  for (let at = from + 1; at < to - 1; at++) {
    const [dx, dy, dz] = [set.x(at) - x, set.y(at) - y, set.z(at) - z];
    const [ex, ey, ez] = [set.x(at + 1) - x, set.y(at + 1) - y, set.z(at + 1) - z];
    a += dy * ez - dz * ey;
    b += dz * ex - dx * ez;
    c += dx * ey - dy * ex;
  }
  return [a, b, c];
}

// Whether a contour that turns so is parallel to a plane with a normal; one without an area may be.
export function isParallel(turn, spread, normal) {
  const size = Math.hypot(...turn);
  if (spread <= FLAT || size < LEAST) return true;
  return Math.abs(dot(turn, normal)) > PARALLEL * size * Math.hypot(...normal);
}

export class Cuts {
  constructor(set) {
    this.set = set;
    this.finding = directionsOf(set);
    this.found = null;
  }

  // Directions of contours: {normal, spacing, rois: Map of layers}.
  get directions() {
    while (!this.found) this.findOn();
    return this.found;
  }

  // A bit more of them is found.
  findOn() {
    const { done, value } = this.finding.next();
    if (done) this.found = value;
  }

  // They are found before they are asked for, while nothing else is to be done, and as long as that
  // is wanted.
  prepare(isWanted) {
    return new Promise((done) => {
      const run = (deadline) => {
        while (!this.found && deadline.timeRemaining() > 0) this.findOn();
        if (this.found || !isWanted()) done();
        else whenIdle(run);
      };
      whenIdle(run);
    });
  }

  // Half as thick as a contour's layer is, in mm.
  halfOf({ at }) {
    return this.directions.find(({ contours }) => contours.has(at))?.spacing / 2 || ALONE / 2;
  }

  // Adds to the shapes of a plane what it cuts of some contours.
  add(shapeOf, plane, contours) {
    const across = this.set.directionOf(plane.normal);
    const at = along(across, plane.origin);
    const isMet = (one) => across.low[one.at] <= at + TINY && across.high[one.at] >= at - TINY;
    const those = contours.filter(isMet);
    for (const one of those) if (one.kind === "open") mark(shapeOf(one), this.set, one, plane, across.places(), at);
    const met = new Set(those.filter(({ kind }) => kind === "closed"));
    if (!met.size) return; // else all would be looked at for their directions
    const places = across.places();
    for (const { normal, rois } of this.directions) {
      const section = sectionOf(normal, plane);
      if (!section) continue;
      for (const layers of rois.values()) {
        const cut = layers.map(({ low, high, contours }) => {
          const here = contours.filter((one) => met.has(one));
          return { low, high, ends: here.length ? crossings(this.set, here, places, at, section.line) : [] };
        });
        if (cut.some(({ ends }) => ends.length)) draw(shapeOf(layers[0].contours[0]), cut, section.pixel);
      }
    }
  }
}

// Not every browser tells when it has nothing to do.
function whenIdle(run) {
  if (globalThis.requestIdleCallback) return void requestIdleCallback(run);
  setTimeout(() => {
    const until = performance.now() + A_WHILE;
    run({ timeRemaining: () => until - performance.now() });
  }, A_WHILE);
}

// Is done a contour or a ROI at a time.
function* directionsOf(set) {
  const found = [];
  for (const contour of set.contours) {
    yield;
    if (contour.kind !== "closed") continue;
    const turn = set.turnOf(contour);
    const size = Math.hypot(...turn);
    if (size < LEAST) continue;
    const normal = scaled(turn, 1 / size);
    let one = found.find((other) => Math.abs(dot(other.seed, normal)) > ONE_DIRECTION);
    if (!one) found.push((one = { seed: normal, sum: [0, 0, 0], contours: new Set(), rois: new Map() }));
    const sign = Math.sign(dot(one.seed, normal));
    one.sum = one.sum.map((value, axis) => value + sign * turn[axis]);
    one.contours.add(contour.at);
    if (!one.rois.has(contour.roi)) one.rois.set(contour.roi, []);
    one.rois.get(contour.roi).push(contour);
  }
  const directions = [];
  for (const one of found) directions.push(yield* layered(set, one));
  return directions;
}

function* layered(set, { sum, contours, rois }) {
  const normal = unit(sum); // large ones tell it best
  const layers = new Map();
  for (const [roi, all] of rois) {
    yield;
    layers.set(roi, layersOf(set, all, normal));
  }
  const steps = [...layers.values()].flatMap((all) => all.slice(1).map(({ place }, at) => place - all[at].place));
  const spacing = steps.sort((one, other) => one - other)[steps.length >> 1] ?? ALONE;
  for (const all of layers.values()) bound(all, spacing);
  return { normal, spacing, contours, rois: layers };
}

function layersOf(set, contours, normal) {
  const placed = contours.map((contour) => ({ contour, place: middleOf(set, contour, normal) }));
  placed.sort((one, other) => one.place - other.place);
  const layers = [];
  for (const { contour, place } of placed) {
    const last = layers.at(-1);
    if (last && place - last.place <= FLAT) last.contours.push(contour);
    else layers.push({ place, contours: [contour] });
  }
  return layers;
}

function middleOf(set, { from, to }, normal) {
  let sum = 0;
  for (let at = from; at < to; at++) {
    sum += normal[0] * set.x(at) + normal[1] * set.y(at) + normal[2] * set.z(at);
  }
  return sum / (to - from);
}

// From where to where each layer lies.
function bound(layers, spacing) {
  layers.forEach((layer, at) => {
    const [before, after] = [layers[at - 1], layers[at + 1]];
    const isNext = (one) => one && Math.abs(one.place - layer.place) <= JOINED * spacing;
    layer.low = isNext(before) ? before.high : layer.place - spacing / 2;
    layer.high = isNext(after) ? (layer.place + after.place) / 2 : layer.place + spacing / 2;
  });
}

// How a plane cuts layers: the line along which, and the pixel for a place on it, in mm, and one
// along the layers' normal. null where they are parallel.
function sectionOf(normal, plane) {
  const own = unit(plane.normal);
  const line = cross(normal, own);
  const rise = Math.hypot(...line);
  if (rise < Math.sqrt(1 - PARALLEL ** 2)) return null;
  const direction = scaled(line, 1 / rise);
  const up = cross(own, direction); // in the plane, across the line
  const start = dot(plane.origin, direction);
  const level = dot(plane.origin, normal);
  const pixelAt = (place, height) => {
    const [a, b] = [place - start, (height - level) / rise];
    const point = plane.origin.map((value, axis) => value + a * direction[axis] + b * up[axis]);
    return pixelOf(plane, point).slice(0, 2).map((one) => one + 0.5);
  };
  const [x, y] = pixelAt(start, level);
  const [[rightX, rightY], [upX, upY]] = [pixelAt(start + 1, level), pixelAt(start, level + 1)];
  const pixel = (place, height) => {
    const [a, b] = [place - start, height - level];
    return [x + a * (rightX - x) + b * (upX - x), y + a * (rightY - y) + b * (upY - y)];
  };
  return { line: direction, pixel };
}

// Where lines of contours cross a plane, along the line in which it cuts them, in order.
function crossings(set, contours, places, level, line) {
  const found = [];
  const along = (at) => line[0] * set.x(at) + line[1] * set.y(at) + line[2] * set.z(at);
  for (const { from, to } of contours) {
    let before = to - 1;
    for (let at = from; at < to; before = at++) {
      if (places[before] >= level === places[at] >= level) continue;
      const part = (level - places[before]) / (places[at] - places[before]);
      found.push(along(before) + part * (along(at) - along(before)));
    }
  }
  return found.sort((one, other) => one - other);
}

// Where a contour's line crosses a plane, and where it runs along it.
function mark(shape, set, { from, to }, plane, places, level) {
  const off = (at) => (Math.abs(places[at] - level) < TINY ? 0 : places[at] - level);
  const point = (at) => [set.x(at), set.y(at), set.z(at)];
  const corner = (point) => shape.corner(...pixelOf(plane, point).slice(0, 2).map((one) => one + 0.5));
  let last = null; // {off, corner}, of the point before
  for (let at = from; at < to; at++) {
    const here = { off: off(at), corner: null };
    if (!here.off) {
      here.corner = corner(point(at));
      shape.dot(here.corner);
      if (last?.corner) shape.line(last.corner, here.corner);
    } else if (last && last.off * here.off < 0) {
      const part = last.off / (last.off - here.off);
      const before = point(at - 1);
      shape.dot(corner(point(at).map((one, axis) => before[axis] + part * (one - before[axis]))));
    }
    last = here;
  }
}

// Each place is worked out once: an end of a layer is a corner of what is filled, and of the lines
// beside, above and below it.
function draw(shape, layers, pixel) {
  let before = null;
  for (const { low, high, ends } of layers) {
    const lower = ends.map((end) => shape.corner(...pixel(end, low)));
    const upper = ends.map((end) => shape.corner(...pixel(end, high)));
    for (let at = 0; at + 1 < ends.length; at += 2) {
      shape.fill(lower[at], lower[at + 1], upper[at + 1], upper[at]);
    }
    lower.forEach((corner, at) => shape.line(corner, upper[at]));
    if (before?.high === low) level(shape, merged(before, { ends, corners: lower }));
    else {
      if (before) level(shape, before.corners);
      level(shape, lower);
    }
    before = { high, ends, corners: upper };
  }
  level(shape, before.corners);
}

// The corners of two layers, which follow each other, in order.
function merged(one, other) {
  const found = [];
  let [at, next] = [0, 0];
  while (at < one.ends.length || next < other.ends.length) {
    if (next >= other.ends.length || one.ends[at] <= other.ends[next]) found.push(one.corners[at++]);
    else found.push(other.corners[next++]);
  }
  return found;
}

// Lines between corners at a height: where only one of the layers below and above is.
function level(shape, corners) {
  for (let at = 0; at + 1 < corners.length; at += 2) {
    if (corners[at].words !== corners[at + 1].words) shape.line(corners[at], corners[at + 1]);
  }
}
