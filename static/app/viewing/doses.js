// A dose over a series' pictures, as somebody chooses it beside them: a layer of the viewer, and its
// box. What is drawn is in `dose.js`.
import { Choice } from "./choice.js";
import { Grid, colourOf, inWords, isodoses, pointsOn, sampled, wash } from "./dose.js";
import { Refused, answerOf, everyFrame, isTold } from "./records.js";
import { pixelUnder } from "./reading.js";
import { pointOf } from "./space.js";
import { valuesOf } from "./values.js";

const SVG = "http://www.w3.org/2000/svg";
// % of the grid's maximum, with the colour and the dashes of its line: told apart also in grey, and
// by who sees few colours.
const LEVELS = [
  [95, "#fff27a", ""], [90, "#ffb000", "7 3"], [80, "#fe6100", "2 2"],
  [50, "#ff5fa8", ""], [30, "#a493ff", "7 3"], [20, "#7fb4ff", "2 2"],
];
// Of words on lines, in the page's pixels; room as for letters of the usual size.
const SHORT = 160; // a line that has none
const ROOM = [56, 30]; // from one's middle to the next one's, across or down
const USUAL = 16; // px of the page's letters
const EDGE = 28; // of the stage, where other words are
const PLACES = 48; // on a line, where they may be
const LARGE = 1e7; // bytes: of which one is told before
const OTHER_FRAME = "This picture lies in another frame of reference than the dose, which is not drawn over it.";
const APART = "The dose's grid does not reach this picture.";
const NOWHERE = "This dose is nowhere greater than 0, so nothing of it is drawn.";
const LACKING = "Planes of this dose are missing or damaged, so it is not drawn.";

export class Doses {
  // `box` is a .over-dose.
  constructor(viewer, box) {
    this.viewer = viewer;
    this.box = box;
    this.grid = null; // once all of it is here
    this.room = ROOM;
    this.drawn = new WeakMap(); // by stage
    this.pixels = null; // that are coloured
    this.lined = new WeakMap(); // by stage: the levels whose lines are drawn
    this.levels = LEVELS.map(([percent, colour, dashes]) => ({ percent, colour, dashes, isOn: true }));
    this.choice = new Choice(box.querySelector(".over-doses"), this);
    this.listen();
  }

  part(name) {
    return this.box.querySelector(`[data-dose=${name}]`);
  }

  // --- the box ----------------------------------------------------------------------------------

  // `doses` are as the server offers them. What is chosen stays.
  offer(doses) {
    const words = (dose) => (dose.bytes < LARGE ? dose.words : `${megabytes(dose.bytes)}: ${dose.words}`);
    this.choice.offer(["", doses.map((dose) => ({ ...dose, words: words(dose) }))]);
    this.box.hidden = !doses.length;
  }

  listen() {
    for (const name of ["wash", "opacity", "threshold", "lines"]) {
      this.part(name).addEventListener("input", () => this.viewer.redraw());
    }
    this.part("lines").addEventListener("input", () => this.offerLevels());
    this.part("unit").addEventListener("change", () => this.convert());
    drawScale(this.part("scale"));
    this.part("levels").append(...this.levels.map((level) => this.offerLevel(level)));
  }

  offerLevel(level) {
    const label = document.createElement("label");
    label.className = "over-check";
    const box = document.createElement("input");
    Object.assign(box, { type: "checkbox", checked: true, className: "form-check-input", autocomplete: "off" });
    box.addEventListener("input", () => {
      level.isOn = box.checked;
      this.viewer.redraw();
    });
    level.words = document.createElement("span");
    label.append(box, sample(level), level.words);
    return label;
  }

  offerLevels() {
    this.part("levels").disabled = !this.part("lines").checked;
  }

  describe() {
    const { grid } = this;
    const { words, unit, highest, lowest } = grid;
    this.part("below").hidden = lowest >= 0;
    const name = unit || "relative";
    this.part("words").textContent = words;
    this.part("words").hidden = !words;
    this.part("gray").textContent = name;
    this.part("highest").textContent = `${highest.toFixed(2)} ${name}, the grid's maximum`;
    this.part("lowest").textContent = `0 ${name}`;
    for (const { percent, words: span } of this.levels) {
      span.textContent = `${percent} %: ${((percent / 100) * highest).toFixed(2)} ${name}`;
    }
  }

  // The threshold in its other unit.
  convert() {
    const field = this.part("threshold");
    const { highest } = this.grid;
    const value = Number(field.value) * (this.isInPercent ? 100 / highest : highest / 100);
    field.value = Number(value.toFixed(2));
    this.viewer.redraw();
  }

  get isInPercent() {
    return this.part("unit").value === "percent";
  }

  get threshold() {
    const value = Math.max(Number(this.part("threshold").value) || 0, 0);
    return this.isInPercent ? (value / 100) * this.grid.highest : value;
  }

  // --- loading ----------------------------------------------------------------------------------

  clear() {
    this.show(null);
  }

  show(grid) {
    this.grid = grid;
    this.drawn = new WeakMap();
    this.part("how").hidden = !grid;
    if (grid) this.describe();
    const letters = parseFloat(getComputedStyle(document.documentElement).fontSize);
    this.room = ROOM.map((one) => (one * letters) / USUAL);
    this.viewer.redraw();
  }

  async load({ url, frames, bytes }, signal) {
    const told = await (await answerOf(url, signal)).json();
    if (told.why_not) throw new Refused(told.why);
    const grid = roomFor(told, bytes);
    let count = 0;
    await everyFrame(frames, [0, grid.frames - 1], signal, async (one, packed) => {
      const isPlane = !one.why_not && one.rows === grid.rows && one.columns === grid.columns;
      const values = isPlane ? await valuesOf(packed, one, 1) : null;
      if (!values) throw new Refused(LACKING);
      grid.fill(one.frame, values, one.scale);
      count++;
      if (!signal.aborted && isTold(count, grid.frames)) this.choice.say(`Loading: ${count} of ${grid.frames} planes`);
    });
    if (count < grid.frames) throw new Refused(LACKING);
    if (!(grid.highest > 0)) throw new Refused(NOWHERE);
    return grid;
  }

  // --- a layer ----------------------------------------------------------------------------------

  draw(stage) {
    const { grid } = this;
    const why = grid ? this.whyNotOn(stage) : "";
    if (grid && stage === this.viewer.stages[0]) this.choice.say(why);
    const isDrawn = Boolean(grid && !why);
    this.label(stage, isDrawn);
    this.lined.set(stage, isDrawn && this.part("lines").checked ? this.levels.filter(({ isOn }) => isOn) : []);
    this.drawLines(stage, this.lined.get(stage));
    stage.hasDose = isDrawn && this.part("wash").checked;
    if (stage.hasDose) this.drawWash(stage);
  }

  whyNotOn(stage) {
    if (!stage.plane || stage.plane.frame !== this.grid.frame_of_reference) return OTHER_FRAME;
    return this.on(stage).found.isAnywhere ? "" : APART;
  }

  // What is sampled for a stage; it is kept until the stage shows another plane.
  on(stage) {
    const key = JSON.stringify(stage.plane);
    let kept = this.drawn.get(stage);
    if (kept?.key !== key) {
      const found = sampled(this.grid, stage.plane);
      kept = { key, found, washed: null, threshold: null, lines: new Map(), points: new Map() };
      this.drawn.set(stage, kept);
    }
    return kept;
  }

  drawWash(stage) {
    const kept = this.on(stage);
    const { threshold } = this;
    if (kept.threshold !== threshold) {
      const { columns, rows } = kept.found;
      kept.washed ??= new OffscreenCanvas(columns, rows);
      if (this.pixels?.width !== columns || this.pixels.height !== rows) this.pixels = new ImageData(columns, rows);
      wash(this.pixels, kept.found, this.grid.highest, threshold);
      kept.washed.getContext("2d").putImageData(this.pixels, 0, 0);
      kept.threshold = threshold;
    }
    const { columns, rows, every } = kept.found;
    const brush = stage.wash();
    brush.globalAlpha = Number(this.part("opacity").value) / 100;
    brush.imageSmoothingEnabled = false;
    brush.drawImage(kept.washed, 0, 0, columns * every, rows * every);
    brush.globalAlpha = 1;
  }

  drawLines(stage, levels) {
    const lacking = levels.filter((level) => !this.on(stage).lines.has(level));
    if (lacking.length) {
      const { found, lines } = this.on(stage);
      const heights = lacking.map(({ percent }) => (percent / 100) * this.grid.highest);
      isodoses(found, heights).forEach((path, n) => lines.set(lacking[n], path));
    }
    const group = stage.group(this);
    if (!levels.length && !group.childElementCount) return;
    const paths = levels.map((level) => this.drawn.get(stage).lines.get(level));
    const [edge, ...drawn] = group.childElementCount ? group.children : this.begin(group);
    put(edge, paths.join("")); // dark, so that they are seen over bright tissue, too
    this.levels.forEach((level, n) => put(drawn[n], paths[levels.indexOf(level)] ?? ""));
  }

  // Writes on each line what it is: not where it is short, nor where others are.
  lie(stage) {
    const taken = [];
    const levels = this.lined.get(stage) ?? [];
    this.levels.forEach((level, n) => {
      const at = levels.includes(level) ? this.placeOn(stage, level, n / this.levels.length, taken) : null;
      if (!at && !stage.labels.has(level)) return;
      const element = stage.label(level, at ? `${level.percent} %` : "", at, true);
      if (element.style.color) return;
      element.style.color = level.colour;
      element.setAttribute("aria-hidden", "true");
    });
  }

  // The first place on a level's line, from a part of it on, that is seen and apart from those `taken`.
  placeOn(stage, level, part, taken) {
    const { lines, points } = this.on(stage);
    if (!points.has(level)) points.set(level, pointsOn(lines.get(level), PLACES));
    const corners = points.get(level);
    const [left, top, width, height] = stage.box;
    const { whole_columns: columns, whole_rows: rows } = stage.slice.told;
    const there = corners.map(([x, y]) => [left + (x / columns) * width, top + (y / rows) * height]);
    const far = (one, other) => Math.hypot(one[0] - other[0], one[1] - other[1]);
    if (there.reduce((sum, one, n) => sum + (n ? far(one, there[n - 1]) : 0), 0) < SHORT) return null;
    const side = stage.canvas.clientWidth;
    const isSeen = (at) => at.every((one) => one > EDGE && one < side - EDGE);
    const isFree = (at) => taken.every((one) => this.room.some((least, n) => Math.abs(one[n] - at[n]) > least));
    const first = Math.floor(part * there.length);
    const turned = (n) => (first + n) % there.length;
    const found = there.findIndex((_, n) => isSeen(there[turned(n)]) && isFree(there[turned(n)]));
    if (found < 0) return null;
    taken.push(there[turned(found)]);
    return corners[turned(found)];
  }

  begin(group) {
    const made = [{ colour: "#000", dashes: "" }, ...this.levels].map((level, n) => lineOf(level, n ? 1.5 : 3.5));
    group.append(...made);
    return made;
  }

  get isClinical() {
    return Boolean(this.grid);
  }

  // What has to stand on the picture.
  named(stage) {
    if (!this.grid || this.whyNotOn(stage)) return "";
    const { words, highest, unit } = this.grid;
    const whole = `Dose: 100 % = ${highest.toFixed(2)} ${unit || "relative"}, the grid's maximum`;
    return [words, whole].filter(Boolean).join(" · ");
  }

  // The lines that are drawn: [words, colour] of each.
  legend(stage) {
    if (!this.grid || this.whyNotOn(stage) || !this.part("lines").checked) return [];
    const levels = this.levels.filter((level) => level.isOn && this.on(stage).lines.get(level));
    return levels.length ? [["Isodoses"], ...levels.map(({ percent, colour }) => [`${percent} %`, colour])] : [];
  }

  label(stage, isDrawn) {
    let label = stage.element.querySelector(".viewer-dose");
    if (!label && !isDrawn) return;
    if (!label) {
      label = document.createElement("p");
      label.className = "viewer-dose";
      stage.element.append(label);
    }
    label.hidden = !isDrawn;
    if (!isDrawn) return;
    label.textContent = this.named(stage);
  }

  told(stage, point) {
    if (!this.grid || !stage.plane || stage.plane.frame !== this.grid.frame_of_reference) return "";
    return inWords(this.grid, this.grid.at(pointOf(stage.plane, pixelUnder(stage.slice, point))));
  }
}

const megabytes = (bytes) => `${bytes < 1e7 ? (bytes / 1e6).toFixed(1) : Math.round(bytes / 1e6)} MB`;

function roomFor(told, bytes) {
  try {
    return new Grid(told);
  } catch (error) {
    if (error instanceof RangeError) throw new Refused(`The browser has no ${megabytes(bytes)} of memory for this dose.`);
    throw error;
  }
}

// The colours from the lowest to the highest, side by side.
function drawScale(canvas) {
  const brush = canvas.getContext("2d");
  for (let at = 0; at < canvas.width; at++) {
    brush.fillStyle = `rgb(${colourOf(at / (canvas.width - 1)).join()})`;
    brush.fillRect(at, 0, 1, canvas.height);
  }
}

function lineOf({ colour, dashes }, width) {
  const line = document.createElementNS(SVG, "path");
  const looks = { class: "isodose", fill: "none", stroke: colour, "stroke-width": width, "vector-effect": "non-scaling-stroke" };
  for (const [name, value] of Object.entries(looks)) line.setAttribute(name, value);
  if (dashes) line.setAttribute("stroke-dasharray", dashes);
  return line;
}

// How a level's line looks, for its switch.
function sample(level) {
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 32 8");
  picture.setAttribute("class", "over-line");
  picture.setAttribute("aria-hidden", "true");
  const [edge, line] = [lineOf({ colour: "#000", dashes: "" }, 5), lineOf(level, 2.5)];
  for (const one of [edge, line]) one.setAttribute("d", "M2 4H30");
  picture.append(edge, line);
  return picture;
}

function put(line, path) {
  if ((line.getAttribute("d") ?? "") !== path) line.setAttribute("d", path);
}
