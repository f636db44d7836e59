// What a picture has under the pointer: its value, its pixel, and where in the patient that is.
import { isGrey, isPadding, meaningOf } from "./greys.js";
import { pointOf } from "./space.js";
import { measure } from "./words.js";

// `point`: column and row, as `space.js` counts.
export function saidOf({ told, rendering, values }, plane, point) {
  const [across, down] = point.map((one) => Math.floor(Math.round(one) / told.step));
  const [column, row] = [across * told.step, down * told.step]; // whose value is here
  const value = valueOf(rendering, told, values, down * told.columns + across);
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
