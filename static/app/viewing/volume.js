// The slices of a stack as one block, and planes cut through it across them: PS3.3 C.7.6.2.
//
// A voxel is [column, row, slice], where slices are counted along the normal, from 0. Axis 0 are the
// columns, axis 1 the rows, axis 2 the slices: a plane of axis 0 has one column of each slice. The
// slices themselves are planes of axis 2, and stay as they came.
//
// The other planes lie as is usual, whichever way the slices were made: coronal and sagittal ones
// with the head up, axial ones with the front up; the patient's right is on the left of the picture,
// and in sagittal ones the front is. Pixels of a slice come one by one, with their centres where they
// were. Between slices values are interpolated, so that pixels are square, or lower where slices lie
// closer than pixels do. A picture ends half a slice beyond the centres of the first and the last.
//
// Stored values stay what they are where they mean the same in all slices. Where they do not, as in
// PET, whose slices have a slope each, planes have what they stand for.
import { isPadding, meaningOf } from "./greys.js";
import { pixelOf, planeOf, pointOf } from "./space.js";

const MOST = 4096; // pixels of a plane, across the slices
const ROWS = 32; // of a picture, that are filled together
const TURN = 1e-3; // by which directions may differ; that they move no pixel the server has seen to

// By the patient's axis that a plane is across: its name, and the axes of its rows and columns, with
// the direction in which they are gone along.
const USUAL = [
  { name: "Sagittal", across: [1, 1], down: [2, -1] },
  { name: "Coronal", across: [0, 1], down: [2, -1] },
  { name: "Axial", across: [0, 1], down: [1, 1] },
];
const LETTERS = ["x", "y", "z"];
const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

// Why slices, as they came, are no block, in a sentence; "" where they are one.
export function whyNoBlock(slices) {
  const [first] = slices;
  const number = slices.findIndex(({ values, told }) => !values || told.step > 1) + 1;
  if (number) return `Slice ${number} has no picture: three planes need all of them.`;
  if (!slices.every(({ rendering }) => rendering.photometric.startsWith("MONOCHROME"))) {
    return "Pictures in colours are not shown in three planes.";
  }
  const planes = slices.map(planeOf);
  if (!planes.every(Boolean)) return "The images do not say where in the patient they lie.";
  if (planes.some(({ frame }) => frame !== planes[0].frame)) {
    return "The slices lie in several frames of reference.";
  }
  const isAlike = ({ told, rendering }, at) =>
    told.rows === first.told.rows && told.columns === first.told.columns &&
    rendering.photometric === first.rendering.photometric && rendering.unit === first.rendering.unit &&
    ["row", "column"].every((side) => planes[at][side].every((one, n) => Math.abs(one - planes[0][side][n]) < TURN));
  return slices.every(isAlike) ? "" : "The slices are of several kinds.";
}

export class Volume {
  // Of slices that are a block, in whatever order.
  constructor(slices) {
    const { normal } = planeOf(slices[0]);
    const length = Math.sqrt(dot(normal, normal));
    this.normal = normal.map((one) => one / length);
    const along = ({ told }) => dot(this.normal, told.place.position);
    this.slices = [...slices].sort((one, other) => along(one) - along(other));
    this.middle = this.slices.length >> 1; // on whose line all others lie, nearly
    this.plane = planeOf(this.slices[this.middle]);
    const start = along(this.slices[0]);
    this.places = this.slices.map((one) => along(one) - start); // mm
    this.counts = [this.plane.columns, this.plane.rows, this.slices.length];
    const spacing = this.places.at(-1) / (this.slices.length - 1);
    this.spacing = [this.plane.spacing[1], this.plane.spacing[0], spacing];
    this.directions = [this.plane.row, this.plane.column, this.normal];
    this.patient = nearestAxes(this.directions); // the patient's axis that each of ours is nearest to
    this.values = new Meanings(this.slices);
    this.lines = [0, 1].map((axis) => this.slices.map(() => this.values.line(this.counts[1 - axis])));
  }

  get bytes() {
    return this.slices.reduce((sum, { values }) => sum + values.byteLength, 0);
  }

  // What planes of an axis are called.
  nameOf(axis) {
    return USUAL[this.patient[axis]].name;
  }

  // Where a plane lies in the patient: "y 40.0 mm", of its middle.
  lies(axis, index) {
    const voxel = this.counts.map((count) => (count - 1) / 2);
    voxel[axis] = index;
    const at = this.patient[axis];
    return `${LETTERS[at]} ${this.pointOf(voxel)[at].toFixed(1)} mm`;
  }

  // How far along the normal a slice lies from the first; between two where the number does.
  placeOf(slice) {
    const before = Math.min(Math.floor(slice), this.places.length - 1);
    const after = Math.min(before + 1, this.places.length - 1);
    return this.places[before] + (slice - before) * (this.places[after] - this.places[before]);
  }

  // The point of the patient at the centre of a voxel.
  pointOf([column, row, slice]) {
    return this.pointAt(column, row, this.placeOf(slice));
  }

  pointAt(column, row, place) {
    const beyond = place - this.places[this.middle];
    return pointOf(this.plane, [column, row]).map((one, n) => one + beyond * this.normal[n]);
  }

  // The voxel that a point lies in, or that is nearest to it.
  voxelOf(point) {
    const [column, row] = pixelOf(this.plane, point);
    const place = dot(this.normal, point) - dot(this.normal, this.plane.origin) + this.places[this.middle];
    const nearest = this.places.reduce(
      (best, one, at) => (Math.abs(one - place) < Math.abs(this.places[best] - place) ? at : best), 0,
    );
    return [column, row, nearest].map((one, axis) => within(Math.round(one), this.counts[axis]));
  }

  // A slice or a plane, as a stage shows it. A plane is painted as the middle slice is.
  cut(axis, index) {
    return axis === 2 ? this.slices[index] : this.across(axis, index);
  }

  across(axis, index) {
    const like = this.slices[this.middle];
    const other = 1 - axis; // of the columns and rows, what is seen of each slice
    const lie = this.lieOf(axis);
    const [isOtherFlipped, areSlicesFlipped] = [lie.isFlipped[other], lie.isFlipped[2]];
    const lines = this.linesOf(axis, index, isOtherFlipped);
    const steps = this.steps(other);
    const count = this.counts[other];
    const isUpright = lie.down === 2; // slices follow each other from above
    const values = this.values.make(count * steps.count);
    fill(values, lines, this.places, steps, areSlicesFlipped, isUpright, this.values.nothing);
    const [rows, columns] = isUpright ? [steps.count, count] : [count, steps.count];
    const voxel = [0, 0];
    voxel[axis] = index;
    voxel[other] = isOtherFlipped ? count - 1 : 0;
    const place = areSlicesFlipped ? steps.start + (steps.count - 1) * steps.each : steps.start;
    const each = { [other]: this.spacing[other], 2: steps.each };
    const told = {
      ...this.values.told, slice: null, object: 0, frame: 0, rows, columns, step: 1, whole_rows: rows,
      whole_columns: columns, lowest: lines.lowest, highest: lines.highest, overlays: [],
      place: {
        ...like.told.place,
        position: this.pointAt(...voxel, place),
        orientation: [...this.direction(lie, "across"), ...this.direction(lie, "down")],
        letters: "",
        thickness: this.spacing[axis],
      },
    };
    const spacing = [each[lie.down], each[lie.across]];
    return { told, rendering: this.values.rendering(like.rendering, spacing), values, overlays: [] };
  }

  // Which of our axes a picture's rows and columns are, and which of them it goes along backwards.
  lieOf(axis) {
    const usual = USUAL[this.patient[axis]];
    const found = { isFlipped: [false, false, false] };
    for (const side of ["across", "down"]) {
      const [patient, direction] = usual[side];
      const ours = this.patient.indexOf(patient);
      found[side] = ours;
      found.isFlipped[ours] = this.directions[ours][patient] * direction < 0;
    }
    return found;
  }

  direction(lie, side) {
    const ours = lie[side];
    return this.directions[ours].map((one) => (lie.isFlipped[ours] ? -one : one));
  }

  // The pixels of a plane across the slices: where the first lies along the normal, and how far apart
  // they are; mm.
  steps(other) {
    const [whole, spacing] = [this.places.at(-1), this.spacing[2]];
    const each = Math.max(Math.min(this.spacing[other], spacing), (whole + spacing) / MOST);
    const count = Math.max(Math.round((whole + spacing) / each), 1);
    return { start: (whole - (count - 1) * each) / 2, each, count };
  }

  // What a plane has of each slice: a line of values, in the order in which they are seen; NaN stands
  // for no value.
  linesOf(axis, index, isFlipped) {
    const [columns, rows] = this.counts;
    const count = axis === 0 ? rows : columns;
    const [first, step] = axis === 0 ? [index, columns] : [index * columns, 1];
    const [begin, each] = isFlipped ? [first + (count - 1) * step, -step] : [first, step];
    const found = this.lines[axis]; // the same for each plane: they are many, and short
    let [lowest, highest] = [Infinity, -Infinity];
    this.slices.forEach(({ values }, slice) => {
      const line = found[slice];
      for (let at = 0, from = begin; at < count; at++, from += each) line[at] = values[from];
      this.values.translate(line, slice);
      for (let at = 0; at < count; at++) {
        if (line[at] < lowest) lowest = line[at];
        if (line[at] > highest) highest = line[at];
      }
    });
    const ends = [lowest, highest, this.values.nothing].filter((one) => !Number.isNaN(one));
    [found.lowest, found.highest] = [Math.min(...ends), Math.max(...ends)];
    return found;
  }
}

// What the values of slices are, so that they can be interpolated from one slice to the next.
class Meanings {
  constructor(slices) {
    this.slices = slices;
    const [{ rendering: first, told, values }] = slices;
    this.areAlike = slices.every(
      ({ rendering, told: { type, scale } }) =>
        type === told.type && scale === told.scale && !rendering.modality_lut &&
        rendering.slope === first.slope && rendering.intercept === first.intercept &&
        rendering.padding.join() === first.padding.join(),
    );
    this.padding = first.padding;
    this.isLong = /[ui]4/.test(told.type); // more than a Float32 holds
    this.Type = this.areAlike ? values.constructor : Float32Array;
    this.told = this.areAlike ? { type: told.type, scale: told.scale } : { type: "f4", scale: 1 };
    // What stands where there is no value.
    this.nothing = this.areAlike && this.padding.length ? this.padding[0] : NaN;
  }

  // For stored values, or what they stand for.
  line(count) {
    return new (this.isLong ? Float64Array : Float32Array)(count);
  }

  make(count) {
    return new this.Type(count);
  }

  // Changes a line of stored values to what is interpolated.
  translate(line, slice) {
    const { rendering, told } = this.slices[slice];
    if (rendering.padding.length) {
      for (let at = 0; at < line.length; at++) if (isPadding(line[at], rendering)) line[at] = NaN;
    }
    if (this.areAlike) return;
    if (rendering.modality_lut) {
      const meaning = meaningOf(rendering, told.scale);
      for (let at = 0; at < line.length; at++) line[at] = Number.isNaN(line[at]) ? NaN : meaning(line[at]);
    } else {
      const [slope, intercept] = [rendering.slope * told.scale, rendering.intercept];
      for (let at = 0; at < line.length; at++) line[at] = slope * line[at] + intercept;
    }
  }

  rendering(like, spacing) {
    const here = { ...like, spacing, spacing_kind: "patient", aspect: null, regions: [] };
    if (this.areAlike) return here;
    return { ...here, slope: 1, intercept: 0, modality_lut: null, padding: [] };
  }
}

// Interpolates between lines, which lie at `places`. Where one of two has no value the nearer stands.
function fill(target, lines, places, steps, isFlipped, isUpright, nothing) {
  const count = lines[0].length;
  // Sideways some rows at a time, so that what is written lies together.
  const most = isUpright ? count : ROWS;
  for (let first = 0; first < count; first += most) {
    const end = Math.min(first + most, count);
    let before = 0;
    for (let step = 0; step < steps.count; step++) {
      const place = steps.start + step * steps.each;
      while (before < lines.length - 2 && places[before + 1] < place) before++;
      const exact = (place - places[before]) / (places[before + 1] - places[before]);
      const part = Math.min(Math.max(exact, 0), 1);
      const to = isFlipped ? steps.count - 1 - step : step;
      const [start, each] = isUpright ? [to * count, 1] : [to + first * steps.count, steps.count];
      mix(target, start, each, lines[before], lines[before + 1], part, first, end, nothing);
    }
  }
}

function mix(target, start, each, one, other, part, first, end, nothing) {
  const isWhole = !(target instanceof Float32Array);
  const nearer = part < 0.5 ? one : other;
  for (let at = first, to = start; at < end; at++, to += each) {
    let value = one[at] + part * (other[at] - one[at]);
    if (value !== value) value = nearer[at] === nearer[at] ? nearer[at] : nothing;
    target[to] = isWhole ? Math.floor(value + 0.5) : value;
  }
}

const within = (value, count) => Math.min(Math.max(value, 0), count - 1);

// The patient's axis for each direction, such that all together are as near as can be.
function nearestAxes(directions) {
  const nearness = (order) => order.reduce((sum, axis, n) => sum + Math.abs(directions[n][axis]), 0);
  return ORDERS.reduce((best, one) => (nearness(one) > nearness(best) ? one : best));
}
