// Where a picture lies in its patient: PS3.3 C.7.6.2. Lengths are in mm.
//
// A pixel's number is that of its centre: in a drawing over the picture, whose unit is a pixel and
// whose origin is the upper left corner of the first one, it lies at column + 0.5, row + 0.5.

const OFF = 1e-3; // that a direction's length may be, and the cosine between a row and a column

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

const cross = (a, b) => [
  a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0],
];

const length = (a) => Math.sqrt(dot(a, a));

// The plane of a slice as it is told: {origin, row, column, normal, spacing, rows, columns, frame,
// thickness: 0 or undefined where it is not told}.
// `row` is the direction in which columns follow each other, `spacing` that between rows and that
// between columns, `frame` the UID of the frame of reference. null where it does not say where it
// lies in its patient, or where a row and a column are not upright on each other: `pixelOf` would not
// find again what `pointOf` gives.
export function planeOf({ told, rendering }) {
  const lies = liesOf(told.place);
  const { spacing, spacing_kind } = rendering ?? {};
  if (!lies || spacing_kind !== "patient" || !spacing.every((one) => one > 0)) return null;
  const [rows, columns] = [told.whole_rows, told.whole_columns];
  const { frame_of_reference: frame, thickness } = told.place;
  return { ...lies, spacing, rows, columns, frame, thickness };
}

// The same of what has a place and no picture: {origin, row, column, normal}.
export function liesOf({ position = [], orientation = [] }) {
  if (position.length < 3 || orientation.length < 6) return null;
  const [row, column] = [orientation.slice(0, 3), orientation.slice(3, 6)];
  const isSound = [length(row) - 1, length(column) - 1, dot(row, column)].every((one) => Math.abs(one) <= OFF);
  return isSound ? { origin: position, row, column, normal: cross(row, column) } : null;
}

// The column and the row of a point of the patient, and how far it lies from the plane, along its
// normal.
export function pixelOf({ origin, row, column, normal, spacing }, point) {
  const from = [point[0] - origin[0], point[1] - origin[1], point[2] - origin[2]];
  return [dot(from, row) / spacing[1], dot(from, column) / spacing[0], dot(from, normal)];
}

// The same for many points: [a, b, c, d] of a column, and those of a row, which is
// a * x + b * y + c * z + d.
export function mapOf(plane) {
  const zero = pixelOf(plane, [0, 0, 0]);
  const axes = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map((axis) => pixelOf(plane, axis));
  return [0, 1].map((which) => [...axes.map((axis) => axis[which] - zero[which]), zero[which]]);
}

// The point of the patient at a column and a row.
export function pointOf({ origin, row, column, spacing }, [across, down]) {
  return [0, 1, 2].map(
    (n) => origin[n] + row[n] * spacing[1] * across + column[n] * spacing[0] * down,
  );
}

// How far a point lies along a plane's normal from the patient's origin.
export const along = ({ normal }, point) => dot(normal, point);
