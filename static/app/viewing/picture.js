// The picture on a series' page: one of its slices, painted as somebody wishes to see it.
import { Cine, FASTEST, USUAL_RATE } from "./cine.js";
import { everyNth, isPadding, lay, meaningOf, paint, percentiles, unsaid } from "./greys.js";
import { pngOf, save } from "./png.js";
import { Stacks, drawMarks } from "./stacks.js";
import { Strip } from "./strip.js";
import { View } from "./view.js";
import { edges, inPatient, lies, measure, pixelSize, ruler } from "./words.js";

const MOST_BYTES = 192 << 20; // of inflated pictures
const AHEAD = 3; // slices that are inflated before they are asked for
const PAGE = 10; // slices
const NOTCH = 40; // of a wheel, for a slice
const LINE = 40;
const DRAG = 250; // of the screen's pixels, that make a window twice as wide
const TOUCH = 12; // of the screen's pixels, for a slice
const SHIFT = 40; // of the canvas's pixels, for a key
const CT_WINDOWS = [
  ["Abdomen", 40, 400], ["Lung", -600, 1500], ["Bone", 400, 1800], ["Brain", 40, 80], ["Liver", 80, 160],
];

const box = document.getElementById("viewer");
const part = (name) => box.querySelector(`[data-part=${name}]`);
const canvas = part("canvas");
const context = canvas.getContext("2d", { alpha: false });
const source = document.createElement("canvas");
const sourceContext = source.getContext("2d", { alpha: false });
const view = new View(canvas);
const pictured = JSON.parse(box.dataset.pictured);
const stacks = new Stacks(pictured);
const strip = new Strip(document.getElementById("strip"), show);

const renderings = new Map(); // by the worker's numbers, of what may come
const held = new Map(); // slices that are inflated, those used last at the end
const objects = new Map(); // by slice
const arrived = new Set();
let shown = pictured.start;
let stack = stacks.all[stacks.at(shown)]; // that is looked through
let awaited = null; // an object whose slices are not known yet
let choice = { kind: "said", index: 0 };
let isInverted = false;
let hasOverlays = true;
const unsaids = new Map(); // what stands for a window where files have none, for all alike
let painted = ""; // what is in `source`
let paintedSlice = shown;
let trouble = "";
let isDue = false;
const cine = new Cine(playOn);
let asked = null; // a slice that is to be played next
let hasOwnRate = false; // somebody has said how fast

const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
worker.onmessage = ({ data }) => {
  if (data.rendering) renderings.set(data.id, data.rendering);
  else if (data.told) take(data);
  else if ("arrived" in data) noteArrived(data);
  else if ("gone" in data) arrived.delete(data.gone);
  else if ("unused" in data) renderings.delete(data.unused);
  else if ("speed" in data) rememberSpeed(data.speed);
  else trouble = data.trouble;
  later();
};

worker.onerror = () => {
  trouble = "failed"; // it could not be loaded, or has a fault
  later();
};

function take(slice) {
  hold(slice);
  const { rendering } = slice;
  strip.paint(slice, rendering, rendering && saidBy(rendering)[0]);
}

function noteArrived({ arrived: slice, object, step }) {
  arrived.add(slice);
  objects.set(slice, object);
  trouble = "";
  if (slice !== shown && held.get(slice)?.told.step > step) held.delete(slice);
  if (object === awaited) goTo(slice);
  fillStrip(slice);
  if (hasAskedForKeys) return;
  hasAskedForKeys = true;
  void markKeys();
}

function fillStrip(slice) {
  if (!strip.lacks.has(slice) || !arrived.has(slice)) return;
  if (held.has(slice)) take(held.get(slice));
  else worker.postMessage({ also: slice });
}

function hold(slice) {
  const { told } = slice;
  held.delete(told.slice);
  held.set(told.slice, slice);
  slice.rendering ??= renderings.get(slice.id);
  let bytes = 0;
  for (const one of held.values()) bytes += weight(one);
  for (const [number, one] of held) {
    if (bytes <= MOST_BYTES || number === shown) break;
    held.delete(number);
    bytes -= weight(one);
  }
}

const weight = ({ values, overlays }) =>
  overlays.reduce((sum, { bits }) => sum + bits.byteLength, values?.byteLength ?? 0);

// --- what is shown ------------------------------------------------------------------------------

// By hand, which ends what is played.
function show(slice) {
  stop();
  open(slice);
}

function open(slice) {
  const next = Math.min(Math.max(slice, stack.first), stack.last);
  awaited = null;
  const step = next < shown ? -1 : 1;
  shown = next;
  const there = held.get(shown);
  if (there) hold(there);
  if (there?.told.step !== 1) worker.postMessage({ want: shown });
  for (let ahead = 1; ahead <= AHEAD; ahead++) {
    const one = shown + step * ahead;
    if (arrived.has(one) && !held.has(one)) worker.postMessage({ also: one });
  }
  later();
}

// A slice of whatever stack.
function goTo(slice) {
  const next = stacks.all[stacks.at(slice)];
  if (next !== stack) look(next);
  show(slice);
}

function look(next) {
  stack = next;
  worker.postMessage({ stack: [stack.first, stack.last] });
  beginStack();
}

function beginStack() {
  part("stack").value = stacks.all.indexOf(stack);
  part("slider").max = stack.count - 1;
  part("along").hidden = part("cine").hidden = stack.count === 1;
  drawMarks(part("marks"), stack, stacks.marks);
  strip.begin(stack);
  for (const slice of [...strip.lacks]) fillStrip(slice);
}

function later() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    draw();
  });
}

const current = () => held.get(shown) ?? null;

const isGrey = (rendering) => rendering?.photometric.startsWith("MONOCHROME") ?? false;

function windowOf(slice) {
  const { rendering } = slice;
  const { kind, index, window } = choice;
  if (kind === "own") return window;
  if (kind === "percentiles") return percentiles(slice, rendering);
  if (kind === "ct") {
    const [, center, width] = CT_WINDOWS[index];
    return { center, width, function: "LINEAR" };
  }
  const said = saidBy(rendering);
  if (said.length) return said[Math.min(index, said.length - 1)];
  if (slice.told.step > 1) return unsaid(slice, rendering); // until all of it is here
  const alike = `${rendering.bits} ${slice.told.type} ${rendering.unit}`;
  if (!unsaids.has(alike)) unsaids.set(alike, unsaid(slice, rendering));
  return unsaids.get(alike);
}

// The windows and tables that the file has.
const saidBy = ({ windows, function: shape, voi_luts }) => [
  ...windows.map((one) => ({ ...one, function: shape })),
  ...voi_luts.map((lut) => ({ lut, explanation: lut.explanation })),
];

function draw() {
  drawArrived();
  const slice = current();
  box.classList.toggle("is-waiting", !slice);
  tell(slice);
  if (slice) drawSlice(slice);
  readOut();
}

function drawSlice(slice) {
  const isPicture = Boolean(slice.values);
  const why = slice.told.why_not ? slice.told.why : "This picture came damaged.";
  sentence(isPicture ? "" : why, slice.told);
  part("png").disabled = !isPicture || slice.told.step > 1;
  if (isPicture) fill(slice);
  else clear();
  drawRound(isPicture ? slice : null);
  offer(slice.rendering);
}

function clear() {
  painted = "";
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
}

function fill(whole) {
  const slice = thinned(whole);
  const { told, rendering } = slice;
  const window = isGrey(rendering) ? windowOf(slice) : null;
  const now = JSON.stringify([told.slice, told.object, told.step, window?.lut ? choice : window, isInverted, hasOverlays]);
  if (now !== painted) {
    const pixels = sourceContext.createImageData(told.columns, told.rows);
    paint(pixels, slice, rendering, window, isInverted);
    if (hasOverlays) for (const overlay of slice.overlays) lay(pixels, overlay);
    [source.width, source.height] = [told.columns, told.rows];
    sourceContext.putImageData(pixels, 0, 0);
    [painted, paintedSlice] = [now, told.slice];
  }
  view.show(told.whole_columns, told.whole_rows, pixelSize(rendering));
  context.fillStyle = "#000";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = told.step > 1 || (view.scale !== 1 && view.scale < 4);
  context.imageSmoothingQuality = view.scale < 1 ? "medium" : "low";
  const [left, top, width, height] = view.box;
  const [across, down] = [told.columns / told.whole_columns, told.rows / told.whole_rows];
  context.drawImage(source, left, top, width * across * told.step, height * down * told.step);
  sayWindow(window);
}

// While the window is dragged, no more of a picture than the view has room for; else all of it.
function thinned(slice) {
  const every = drag?.kind === "window" && down.size && view.columns ? Math.floor(1 / view.scale) : 1;
  if (every < 2 || slice.told.step > 1) return slice;
  const key = `${slice.told.slice} ${every}`;
  if (thin.key !== key) thin = { key, slice: { ...slice, ...everyNth(slice, every) } };
  return thin.slice;
}

let thin = {};

// --- what is said beside it ---------------------------------------------------------------------

function tell(slice) {
  const place = slice ? lies(slice.told.place) : "";
  const where = `${shown - stack.first + 1} of ${stack.count}`;
  const words = slice ? [where, place] : [where, "loading"];
  part("place").textContent = words.filter(Boolean).join(" · ");
  const slider = part("slider");
  slider.value = shown - stack.first;
  slider.setAttribute("aria-valuetext", part("place").textContent);
  part("overlays").disabled = !slice?.overlays?.length;
  part("lossy").hidden = !slice?.rendering?.is_lossy;
  if (!slice) sentence(TROUBLES[trouble] ?? "");
  if (!slice) part("png").disabled = true;
  strip.mark(shown);
  part("note").textContent = stacks.said(shown).join(" · ");
  part("note").parentElement.hidden = !part("note").textContent;
  const rate = slice?.rendering?.frame_rate ?? USUAL_RATE;
  if (!hasOwnRate && slice?.rendering) setRate(rate);
  const object = objects.get(shown);
  for (const row of document.querySelectorAll("#objects [data-object]")) {
    row.classList.toggle("is-shown", Number(row.dataset.object) === object);
  }
}

const TROUBLES = {
  busy: "Pictures are being made for others. This one comes by itself, in a moment.",
  refused: "The pictures are not to be had: reload the page.",
  changed: "The series has changed: reload the page.",
  failed: "Something went wrong with the pictures: reload the page.",
  cut: "The connection broke off: move to another slice, or reload the page.",
};

// Why there is no picture, and what can be done about it.
function sentence(text, told = null) {
  part("why").textContent = text;
  part("why").hidden = part("failed").hidden = !text;
  part("again").hidden = !(text && told?.is_passing);
  const link = part("download");
  if (!link) return;
  link.hidden = !(text && told);
  if (told) link.href = box.dataset.download.replace("/0/", `/${told.object}/`);
}

function drawRound(slice) {
  const letters = slice && edges(slice.told.place);
  for (const edge of EDGES) part(edge).textContent = letters?.[edge] ?? "";
  const dense = canvas.width / canvas.clientWidth;
  const scale = slice && ruler(slice, view.box.map((one) => one / dense), canvas.clientWidth);
  part("scale").hidden = !scale;
  if (!scale) return;
  part("scale").textContent = scale.text;
  for (const name of ["right", "bottom", "width"]) part("scale").style[name] = `${scale[name]}px`;
}

const EDGES = ["left", "right", "top", "bottom"];

function drawArrived() {
  const strip = part("arrived");
  const brush = strip.getContext("2d");
  const [width, step] = [strip.width, strip.width / stack.count];
  brush.clearRect(0, 0, width, 1);
  brush.fillStyle = getComputedStyle(strip).color;
  let here = 0;
  for (const slice of arrived) {
    if (slice < stack.first || slice > stack.last) continue;
    const left = Math.floor((slice - stack.first) * step);
    brush.fillRect(left, 0, Math.max(Math.ceil((slice - stack.first + 1) * step) - left, 1), 1);
    here++;
  }
  part("loaded").textContent = here >= stack.count ? "" : `${here} of ${stack.count} loaded`;
}

function sayWindow(window) {
  const isWindow = Boolean(window) && !window.lut;
  for (const name of ["center", "width"]) {
    const field = part(name);
    field.disabled = !isWindow;
    if (field !== document.activeElement) field.value = isWindow ? measure(window[name]) : "";
  }
}

// The windows that may be chosen, where they have changed.
function offer(rendering) {
  const select = part("window");
  if (!rendering) return;
  select.disabled = !isGrey(rendering);
  const groups = isGrey(rendering) ? offered(rendering) : [];
  const key = JSON.stringify([groups, choice.kind === "own"]);
  if (select.dataset.key !== key) {
    select.dataset.key = key;
    select.replaceChildren(...groups.map(group));
    if (choice.kind === "own") select.prepend(new Option("As set here", "own"));
  }
  select.value = choice.kind === "own" ? "own" : `${choice.kind} ${choice.index}`;
}

function offered(rendering) {
  const said = saidBy(rendering).map((one, index) => [nameOf(one, index), `said ${index}`]);
  const isHu = rendering.modality === "CT" && rendering.unit === "HU";
  const ct = CT_WINDOWS.map(([name, center, width], index) => [
    `${name} (${center}, ${width})`, `ct ${index}`,
  ]);
  return [
    ["Of the file", said.length ? said : [["None: chosen by ICON", "said 0"]]],
    ...(isHu ? [["CT", ct]] : []),
    ["Of what is seen", [["Percentiles 1 to 99.5", "percentiles 0"]]],
  ];
}

function nameOf({ lut, center, width, explanation }, index) {
  if (lut) return explanation || `Table ${index + 1}`;
  return `${explanation || `Window ${index + 1}`} (${measure(center)}, ${measure(width)})`;
}

function group([label, options]) {
  const made = document.createElement("optgroup");
  made.label = label;
  made.append(...options.map(([text, value]) => new Option(text, value)));
  return made;
}

// --- under the pointer --------------------------------------------------------------------------

const onCanvas = (event) => {
  const { left, top, width } = canvas.getBoundingClientRect();
  const dense = canvas.width / width;
  return [(event.clientX - left) * dense, (event.clientY - top) * dense];
};

let pointed = null; // where the pointer is, or a finger was last, as parts of the canvas's side

function point(event) {
  pointed = event && onCanvas(event).map((one) => one / canvas.width);
  readOut();
}

// Of what is shown, whenever it has changed.
function readOut() {
  const slice = current();
  const isPointed = slice?.values && view.columns && pointed;
  const pixel = isPointed ? view.pixelAt(...pointed.map((one) => one * canvas.width)) : null;
  part("value").textContent = pixel ? saidOf(slice, ...pixel) : "";
}

function saidOf(slice, column, row) {
  const { told, rendering, values } = slice;
  const [across, down] = [column, row].map((one) => Math.floor(one / told.step));
  [column, row] = [across * told.step, down * told.step]; // whose value is here
  const at = down * told.columns + across;
  const words = [valueOf(rendering, told, values, at), `column ${column + 1}, row ${row + 1}`];
  const place = inPatient(told.place, rendering, column, row);
  if (place) words.push(`${place.map((one) => one.toFixed(1)).join(", ")} mm`);
  return words.join(" · ");
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

// --- what is done to it -------------------------------------------------------------------------

function choose(kind, index = 0) {
  choice = { kind, index };
  later();
}

function setWindow(center, width) {
  const slice = current();
  if (!slice?.values || !isGrey(slice.rendering)) return;
  const shape = slice.rendering.windows.length ? slice.rendering.function : "LINEAR_EXACT";
  const least = shape === "LINEAR" ? 1 : Number.MIN_VALUE;
  const window = { center, width: Math.max(width, least), function: shape };
  choice = { kind: "own", index: 0, window };
  later();
}

function reset() {
  choice = { kind: "said", index: 0 };
  isInverted = false;
  part("invert").setAttribute("aria-pressed", "false");
  view.fit();
  later();
}

function invert() {
  isInverted = !isInverted;
  part("invert").setAttribute("aria-pressed", isInverted);
  later();
}

function toggleOverlays() {
  hasOverlays = !hasOverlays;
  part("overlays").setAttribute("aria-pressed", hasOverlays);
  later();
}

function zoom(steps, ...at) {
  if (!view.columns) return;
  view.zoomBy(steps, ...at);
  later();
}

function move(x, y) {
  if (!view.columns) return;
  view.move(x, y);
  later();
}

function playOn() {
  const next = shown >= stack.last ? stack.first : shown + 1;
  if (held.has(next)) {
    asked = null;
    open(next);
    return true;
  }
  if (asked !== next) worker.postMessage(arrived.has(next) ? { also: next } : { want: next });
  asked = next;
  return false;
}

function play() {
  if (stack.count === 1) return;
  if (cine.isOn) return stop();
  asked = null;
  cine.start();
  sayWhetherPlayed();
}

function stop() {
  cine.stop();
  sayWhetherPlayed();
}

function sayWhetherPlayed() {
  part("play").textContent = cine.isOn ? "Pause" : "Play";
}

function setRate(rate) {
  cine.rate = Math.min(rate, FASTEST);
  if (part("rate") !== document.activeElement) part("rate").value = measure(cine.rate);
}

function across(steps) {
  if (stacks.all.length > 1) goTo(stacks.across(shown, steps));
}

async function savePng() {
  const { name, id } = part("named").dataset;
  const file = `picture-${box.dataset.series}-${nameOfPainted()}.png`;
  const scale = part("scale");
  const text = Object.fromEntries(EDGES.map((edge) => [edge, part(edge).textContent]));
  const { right, bottom, width: length } = scale.style;
  const blob = await pngOf(canvas, {
    edges: text,
    scale: scale.hidden ? null : {
      text: scale.textContent,
      ...Object.fromEntries(Object.entries({ right, bottom, length }).map(([key, value]) => [key, parseFloat(value)])),
    },
    lines: part("named").checked ? [name, id].filter(Boolean) : [],
    notes: part("lossy").hidden ? [] : [part("lossy").textContent],
  });
  save(blob, file);
}

// The number of what is on the canvas, as the page counts it: within its stack.
function nameOfPainted() {
  const at = stacks.at(paintedSlice);
  const number = paintedSlice - stacks.all[at].first + 1;
  return stacks.all.length > 1 ? `stack-${at + 1}-${number}` : `${number}`;
}

const KEYS = {
  ArrowUp: () => show(shown - 1),
  ArrowLeft: () => show(shown - 1),
  ArrowDown: () => show(shown + 1),
  ArrowRight: () => show(shown + 1),
  PageUp: () => show(shown - PAGE),
  PageDown: () => show(shown + PAGE),
  Home: () => show(stack.first),
  End: () => show(stack.last),
  " ": play,
  ",": () => across(-1),
  ".": () => across(1),
  "+": () => zoom(1),
  "-": () => zoom(-1),
  f: () => later(view.fit()),
  i: invert,
  o: toggleOverlays,
  0: reset,
};
const MOVES = { ArrowUp: [0, SHIFT], ArrowDown: [0, -SHIFT], ArrowLeft: [SHIFT, 0], ArrowRight: [-SHIFT, 0] };

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const { key, shiftKey } = event;
  const options = [...part("window").querySelectorAll("option:not([value=own])")];
  if (shiftKey && MOVES[key]) move(...MOVES[key]);
  else if (KEYS[key]) KEYS[key]();
  else if (/^[1-9]$/.test(key) && options[key - 1]) chooseByName(options[key - 1].value);
  else return;
  event.preventDefault();
});

function chooseByName(value) {
  const [kind, index] = value.split(" ");
  if (kind !== "own") choose(kind, Number(index));
}

part("slider").addEventListener("input", ({ target }) => show(stack.first + Number(target.value)));
part("stack").addEventListener("change", ({ target }) => {
  goTo(stacks.across(shown, Number(target.value) - stacks.all.indexOf(stack)));
});
part("play").addEventListener("click", play);
part("rate").addEventListener("change", ({ target }) => {
  const rate = target.valueAsNumber;
  hasOwnRate = rate > 0;
  if (hasOwnRate) setRate(rate);
  later();
});
part("png").addEventListener("click", savePng);
part("again").addEventListener("click", () => worker.postMessage({ again: shown }));
part("window").addEventListener("change", ({ target }) => chooseByName(target.value));
for (const name of ["center", "width"]) {
  part(name).addEventListener("change", () => {
    const [center, width] = [part("center").valueAsNumber, part("width").valueAsNumber];
    if (Number.isFinite(center) && width > 0) setWindow(center, width);
    else later();
  });
}
part("invert").addEventListener("click", invert);
part("overlays").addEventListener("click", toggleOverlays);
part("reset").addEventListener("click", reset);
part("closer").addEventListener("click", () => zoom(1));
part("further").addEventListener("click", () => zoom(-1));
part("fit").addEventListener("click", () => later(view.fit()));
part("whole").addEventListener("click", () => later(view.oneToOne()));

let turned = 0; // of a wheel, since the last slice
canvas.addEventListener(
  "wheel",
  (event) => {
    const by = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE);
    if (!by || (stack.count === 1 && !event.ctrlKey)) return;
    event.preventDefault();
    if (event.ctrlKey) return zoom(by < 0 ? 1 : -1, ...onCanvas(event));
    turned = Math.sign(by) === Math.sign(turned) ? turned + by : by;
    const steps = Math.abs(by) >= NOTCH ? Math.sign(by) : Math.trunc(turned / NOTCH);
    if (!steps) return;
    turned = 0;
    show(shown + steps);
  },
  { passive: false },
);

// A pointer that is down drags what is chosen; the middle button, or shift, moves the picture, and
// so do two fingers, which also zoom.
const down = new Map(); // pointers: where they are
let drag = null;

const drags = part("drags");
if (matchMedia("(pointer: coarse)").matches) drags.value = "slices";

canvas.addEventListener("pointerdown", (event) => {
  if (event.button > 1) return;
  if (event.button === 1) event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  down.set(event.pointerId, onCanvas(event));
  point(event);
  drag = begun(event);
  canvas.focus({ preventScroll: true });
});

function begun(event) {
  const slice = current();
  const window = slice?.values && isGrey(slice.rendering) ? windowOf(slice) : null;
  const from = window?.lut ? percentiles(slice, slice.rendering) : window;
  const isMove = event.button === 1 || event.shiftKey || drags.value === "move";
  const kind = isMove ? "move" : drags.value === "window" && from ? "window" : "slices";
  return { kind, from, slice: shown, x: event.clientX, y: event.clientY };
}

canvas.addEventListener("pointermove", (event) => {
  point(event);
  if (!down.has(event.pointerId)) return;
  const before = down.get(event.pointerId);
  const now = onCanvas(event);
  down.set(event.pointerId, now);
  if (down.size === 2) pinched(event.pointerId, before, now);
  else if (drag.kind === "move") move(now[0] - before[0], now[1] - before[1]);
  else dragged(event.clientX - drag.x, event.clientY - drag.y);
});

function dragged(x, y) {
  const { kind, from, slice } = drag;
  if (kind === "slices") return show(slice + Math.round(y / TOUCH));
  const each = from.width / DRAG;
  setWindow(from.center + y * each, Math.max(from.width + x * each, from.width / 1000));
}

function pinched(id, before, now) {
  const [, other] = [...down].find(([one]) => one !== id);
  drag = { ...drag, kind: "move" };
  const distance = ([x, y]) => Math.hypot(x - other[0], y - other[1]) || 1;
  move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
  const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
  zoom(Math.log(distance(now) / distance(before)) / Math.log(1.25), ...middle);
}

for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, ({ pointerId }) => {
    down.delete(pointerId);
    thin = {};
    later();
  });
}
canvas.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || point(null));

// A click on a row of the objects selects its slice; with a key that opens a tab, as other rows do.
document.getElementById("objects")?.addEventListener("click", (event) => {
  const row = event.target.closest("[data-object]");
  if (!row || event.target.closest("a, button") || getSelection().toString()) return;
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  select(Number(row.dataset.object));
  canvas.scrollIntoView({ block: "nearest" });
});

function select(object) {
  const slices = [...objects].filter(([, one]) => one === object).map(([slice]) => slice);
  if (slices.length) goTo(Math.min(...slices));
  else awaited = object;
}

// What is said of a series leads to the slice that it is said of.
document.querySelector(".told")?.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const address = new URLSearchParams(link.search);
  const [object, frame] = ["at", "frame"].map((name) => Number(address.get(name)));
  const mark = stacks.marks.find((one) => one.object === object && one.frame === frame);
  if (!mark) return;
  event.preventDefault();
  goTo(mark.slice);
  canvas.scrollIntoView({ block: "nearest" });
});

// --- the beginning ------------------------------------------------------------------------------

function resize() {
  const dense = window.devicePixelRatio || 1;
  const side = Math.round(canvas.clientWidth * dense);
  if (canvas.width === side) return;
  [canvas.width, canvas.height] = [side, side];
  later();
}

new ResizeObserver(resize).observe(canvas);
window.addEventListener("resize", resize); // also where only the pixels' size has changed

// What key object documents say of slices comes when the first picture is there.
async function markKeys() {
  try {
    const response = await fetch(box.dataset.keys);
    if (!response.ok || response.redirected) return;
    stacks.marks.push(...(await response.json()));
  } catch (error) {
    if (error instanceof TypeError) return; // the network
    throw error;
  }
  drawMarks(part("marks"), stack, stacks.marks);
  later();
}

let hasAskedForKeys = !pictured.has_key_objects;

const LINE_SPEED = "icon-line-speed"; // bits a second, as this tab has measured it
const SLOW_SPEED = 1e6;

function rememberSpeed(speed) {
  sessionStorage.setItem(LINE_SPEED, String(Math.round(speed)));
}

// As it was measured; else the browser knows of very slow ones. What it calls their `downlink` is
// 1.6 Mbit/s where it knows nothing.
function knownSpeed() {
  const measured = Number(sessionStorage.getItem(LINE_SPEED));
  const isSlow = ["slow-2g", "2g", "3g"].includes(navigator.connection?.effectiveType);
  return measured || (isSlow ? SLOW_SPEED : undefined);
}

part("stack").replaceChildren(
  ...stacks.all.map(({ words, count }, at) => new Option(`${words}, ${count} ${count === 1 ? "slice" : "slices"}`, at)),
);
worker.postMessage({ url: box.dataset.url, count: stacks.count, speed: knownSpeed() });
setRate(USUAL_RATE);
look(stack);
open(shown);
