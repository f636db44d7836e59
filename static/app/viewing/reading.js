// What a picture has under the pointer: its value, its pixel, and where in the patient that is.
import { isGrey, isPadding, meaningOf } from "./greys.js";
import { pointOf } from "./space.js";
import { measure } from "./words.js";

// The pixel at a point whose value is here: column and row, as `space.js` counts. All that is told of
// the place under the pointer is told of it.
export const pixelUnder = ({ told }, point) =>
  point.map((one) => Math.floor(Math.round(one) / told.step) * told.step);

export function saidOf(slice, plane, point) {
  const { told, rendering, values } = slice;
  const [column, row] = pixelUnder(slice, point);
  const value = valueOf(rendering, told, values, (row * told.columns + column) / told.step);
  const words = [value, `column ${column + 1}, row ${row + 1}`];
  if (plane) words.push(`${pointOf(plane, [column, row]).map((one) => one.toFixed(1)).join(", ")} mm`);
  return words;
}

function valueOf(rendering, told, values, at) {
  if (rendering.photometric === "RGB") {
    const size = values.length / 3;
    return `red ${values[at]}, green ${values[at + size]}, blue ${values[at + 2 * size]}`;
  }
  if (!isGrey(rendering)) return `colour ${values[at]}`;
  if (isPadding(values[at], rendering)) return "no value";
  const meant = meaningOf(rendering, told.scale)(values[at]);
  return `${measure(meant)} ${rendering.unit}`.trim();
}
