// What is said of a picture: where it lies, which way it is turned, what a pixel stands for.
const AXES = [["x", "L", "R"], ["y", "P", "A"], ["z", "H", "F"]];
const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };
const OBLIQUE = 0.2; // of a direction, from which on its letter is said
const LENGTHS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

// Where values came that are no picture, as they are here.
export const NO_VALUES = "This picture came damaged, or is too large for this browser.";

// A number as people write it: "3", "0.977", "-30.25".
export function measure(value) {
  if (Math.abs(value) >= 1e6 || (value && Math.abs(value) < 0.001)) return value.toPrecision(3);
  const text = String(Number(value.toFixed(3)));
  return text === "-0" ? "0" : text;
}

// Along the axis that the slice's normal is nearest to: "z -0.5 mm".
export function lies({ position, orientation }) {
  if (position.length < 3 || orientation.length < 6) return "";
  const [row, column] = [orientation.slice(0, 3), orientation.slice(3)];
  const normal = [0, 1, 2].map((n) => {
    const [next, last] = [(n + 1) % 3, (n + 2) % 3];
    return Math.abs(row[next] * column[last] - row[last] * column[next]);
  });
  const axis = normal.indexOf(Math.max(...normal));
  return `${AXES[axis][0]} ${measure(position[axis])} mm`;
}

// Letters of the left, right, top and bottom edge; null where they are not known.
export function edges({ orientation, letters, is_quadruped }) {
  if (is_quadruped) return null;
  const [right, bottom] =
    orientation.length === 6
      ? [letter(orientation.slice(0, 3)), letter(orientation.slice(3))]
      : letters.split("\\");
  if (![right, bottom].every((one) => one && [...one].every((each) => each in OPPOSITE))) return null;
  const turned = (text) => [...text].map((each) => OPPOSITE[each]).join("");
  return { left: turned(right), right, top: turned(bottom), bottom };
}

function letter(direction) {
  return [0, 1, 2]
    .filter((axis) => Math.abs(direction[axis]) > OBLIQUE)
    .sort((a, b) => Math.abs(direction[b]) - Math.abs(direction[a]))
    .map((axis) => AXES[axis][direction[axis] > 0 ? 1 : 2])
    .join("");
}

// The longest round length that fits into so many mm; null for none.
const roundLength = (most) => LENGTHS.findLast((length) => length <= most) ?? null;

// A scale for a picture that lies in a box {left, top, width, height} of a square stage; null where
// none is right. Of ultrasound only a region that is calibrated in cm has one, and it lies in that.
export function ruler({ told, rendering }, [left, top, width, height], side) {
  const [across, down] = [width / told.whole_columns, height / told.whole_rows];
  const { regions, spacing, spacing_kind } = rendering;
  if (isUltrasound(rendering)) {
    const region = largest(regions);
    if (!region) return null;
    const within = (place) => Math.min(Math.max(place, 0), side);
    const [start, end] = [region.left, region.right + 1].map((one) => within(left + one * across));
    const [high, low] = [region.top, region.bottom + 1].map((one) => within(top + one * down));
    if (low - high < LEAST_HIGH) return null;
    return scaled(across / (10 * region.across), end - start, "", side - end, side - low);
  }
  if (!spacing) return null;
  const where = spacing_kind === "detector" ? AT_DETECTOR : "";
  return scaled(across / spacing[1], side, where, 0, 0);
}

const ULTRASOUND = ["US", "IVUS"];
const AT_DETECTOR = " at the detector";
const LEAST_HIGH = 40; // of the page's pixels

function largest(regions) {
  const sized = regions.filter(({ across, down }) => across > 0 && down > 0);
  const area = ({ left, top, right, bottom }) => (right - left) * (bottom - top);
  return sized.sort((a, b) => area(b) - area(a))[0];
}

// `each`: of the page's pixels, for a mm.
function scaled(each, room, where, right, bottom) {
  const length = roundLength(room / 3 / each);
  if (!length) return null;
  return { text: `${length} mm${where}`, width: length * each, right: right + 12, bottom: bottom + 10 };
}

const isUltrasound = ({ regions, modality }) => regions.length > 0 || ULTRASOUND.includes(modality);

// Whether distances can be measured on a picture.
export const hasLengths = (rendering) =>
  isUltrasound(rendering) ? Boolean(largest(rendering.regions)) : Boolean(rendering.spacing);

// The distance between two pixels, in words: "12.3 mm"; "" where a pixel's size is not known. Of
// ultrasound it is known where both lie in one region that is calibrated in cm.
export function lengthOf(rendering, from, to) {
  const { regions, spacing, spacing_kind } = rendering;
  const [across, down] = [to[0] - from[0], to[1] - from[1]];
  const isIn = ({ left, top, right, bottom }, [column, row]) =>
    column >= left - 0.5 && column <= right + 0.5 && row >= top - 0.5 && row <= bottom + 0.5;
  if (isUltrasound(rendering)) {
    const region = largest(regions.filter((one) => isIn(one, from) && isIn(one, to)));
    return region ? inMm(10 * region.across * across, 10 * region.down * down, "") : "";
  }
  const where = spacing_kind === "detector" ? AT_DETECTOR : "";
  return spacing ? inMm(spacing[1] * across, spacing[0] * down, where) : "";
}

const inMm = (across, down, where) => `${Math.hypot(across, down).toFixed(1)} mm${where}`;

// A pixel's height and width, as they are to each other.
export function pixelSize({ spacing, aspect }) {
  const [height, width] = spacing ?? aspect ?? [1, 1];
  return [1, height / width];
}
