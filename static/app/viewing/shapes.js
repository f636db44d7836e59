// What a ROI is on a plane: paths in pixels of its picture, and what lies under a place of it.
import { mapOf } from "./space.js";

const NEAR = 4; // of the screen's pixels, from a line
const NEAR_POINT = 10;

export class Shape {
  constructor(roi) {
    this.roi = roi; // its place among its set's
    this.closed = ""; // a path: filled, even-odd, and with a line around it
    this.lines = ""; // a path: a line alone
    this.solid = ""; // a path: filled alone
    this.crosses = []; // [x, y]
    this.dots = []; // {x, y, words}
    this.loops = []; // {xs, ys, isClosed}
    this.points = 0;
  }

  // A contour as it is.
  outline(set, { kind, from, to }, plane) {
    const count = to - from;
    const [xs, ys] = [new Float64Array(count), new Float64Array(count)];
    const [[a, b, c, d], [e, f, g, h]] = mapOf(plane);
    for (let at = 0; at < count; at++) {
      const [x, y, z] = [set.x(from + at), set.y(from + at), set.z(from + at)];
      xs[at] = a * x + b * y + c * z + d + 0.5;
      ys[at] = e * x + f * y + g * z + h + 0.5;
    }
    this.points += count;
    if (kind === "point") return xs.forEach((x, at) => this.crosses.push([x, ys[at]]));
    const isClosed = kind === "closed";
    this.loops.push({ xs, ys, isClosed });
    if (isClosed) this.closed += `${path(xs, ys)}Z`;
    else this.lines += path(xs, ys);
  }

  // A place, of which the words are those in a path.
  corner(x, y) {
    return { x, y, words: `${short(x)} ${short(y)}` };
  }

  // A part of a cut: four corners, which are filled.
  fill(a, b, c, d) {
    this.points += 4;
    this.loops.push({ xs: [a.x, b.x, c.x, d.x], ys: [a.y, b.y, c.y, d.y], isClosed: true });
    this.solid += `M${a.words}L${b.words}L${c.words}L${d.words}Z`;
  }

  line(from, to) {
    this.lines += `M${from.words}L${to.words}`;
  }

  dot(corner) {
    this.points += 1;
    this.dots.push(corner);
  }

  // Whether it has a place inside it, by the rule that fills it, or one of its lines is near that.
  // `scale`: how many of the screen's pixels a pixel is wide and high.
  hasNear(x, y, [across, down]) {
    const isInside = this.loops.filter((loop) => loop.isClosed && isIn(loop, x, y)).length % 2;
    if (isInside) return true;
    const isAt = ([left, top]) => Math.hypot((left - x) * across, (top - y) * down) <= NEAR_POINT;
    const marks = [...this.crosses, ...this.dots.map(({ x, y }) => [x, y])];
    return marks.some(isAt) || this.loops.some((loop) => distance(loop, x, y, across, down) <= NEAR);
  }

  // In pixels; that of a hole counts against it.
  get area() {
    this.size ??= this.loops.reduce((sum, loop) => {
      if (!loop.isClosed) return sum;
      const around = this.loops.filter((one) => one !== loop && one.isClosed && isIn(one, loop.xs[0], loop.ys[0]));
      return sum + areaOf(loop) * (around.length % 2 ? -1 : 1);
    }, 0);
    return this.size;
  }
}

// What lies at a place: of those that are there the one with the smallest area; null for none.
export function pick(shapes, [x, y], scale) {
  const there = shapes.filter((shape) => shape.hasNear(x, y, scale));
  return there.reduce((best, one) => (best && best.area <= one.area ? best : one), null);
}

const HUNDREDTHS = Array.from({ length: 100 }, (_, at) => (at ? String(at / 100).slice(1) : ""));

// A number with two decimals: whole numbers have their words at hand, others take many times as long.
function short(value) {
  const hundredths = Math.round(Math.abs(value) * 100);
  const whole = Math.floor(hundredths / 100);
  const words = `${whole}${HUNDREDTHS[hundredths - whole * 100]}`;
  return value < 0 && hundredths ? `-${words}` : words;
}

function path(xs, ys) {
  let words = `M${short(xs[0])} ${short(ys[0])}`;
  for (let at = 1; at < xs.length; at++) words += `L${short(xs[at])} ${short(ys[at])}`;
  return words;
}

function isIn({ xs, ys }, x, y) {
  let isInside = false;
  for (let at = 0, before = xs.length - 1; at < xs.length; before = at++) {
    if (ys[at] > y === ys[before] > y) continue;
    if (x < xs[at] + ((xs[before] - xs[at]) * (y - ys[at])) / (ys[before] - ys[at])) isInside = !isInside;
  }
  return isInside;
}

function distance({ xs, ys, isClosed }, x, y, across, down) {
  let least = Infinity;
  for (let at = isClosed ? 0 : 1; at < xs.length; at++) {
    const before = at ? at - 1 : xs.length - 1;
    const [fromX, fromY] = [(xs[before] - x) * across, (ys[before] - y) * down];
    const [alongX, alongY] = [(xs[at] - x) * across - fromX, (ys[at] - y) * down - fromY];
    const part = -(fromX * alongX + fromY * alongY) / (alongX * alongX + alongY * alongY || 1);
    const near = Math.min(Math.max(part, 0), 1);
    least = Math.min(least, Math.hypot(fromX + near * alongX, fromY + near * alongY));
  }
  return least;
}

function areaOf({ xs, ys }) {
  let twice = 0;
  for (let at = 0, before = xs.length - 1; at < xs.length; before = at++) {
    twice += xs[before] * ys[at] - xs[at] * ys[before];
  }
  return Math.abs(twice) / 2;
}
