// The controls at a picture, and what is said beside it.
import { FASTEST, USUAL_RATE } from "./cine.js";
import { isGrey } from "./greys.js";
import { pngOf, save } from "./png.js";
import { drawMarks } from "./stacks.js";
import { NO_VALUES, lies, measure } from "./words.js";

const NOT_DIAGNOSIS = "Not for diagnosis";
const NOT_CLINICAL = "Not for clinical use";
const NTH = { 2: "second", 4: "fourth" }; // of rows and columns, which come first on a slow line

export const TROUBLES = {
  busy: "Pictures are being made for others. This one comes by itself, in a moment.",
  refused: "The pictures are not to be had: reload the page.",
  changed: "The series has changed: reload the page.",
  failed: "Something went wrong with the pictures: reload the page.",
  cut: "The connection broke off: move to another slice, or reload the page.",
};

export class Tools {
  constructor(viewer) {
    this.viewer = viewer;
    this.isClinical = false; // what is said of it
    this.hasOwnRate = false; // somebody has said how fast
    this.part("stack").replaceChildren(...viewer.stacks.all.map(stackOption));
    if (matchMedia("(pointer: coarse)").matches) this.part("drags").value = "slices";
    this.setRate(USUAL_RATE);
    this.listen();
  }

  part(name) {
    return this.viewer.part(name);
  }

  listen() {
    const { viewer } = this;
    const { stacks } = viewer;
    const on = (name, type, done) => this.part(name).addEventListener(type, done);
    on("slider", "input", ({ target }) => viewer.show(viewer.stack.first + Number(target.value)));
    on("stack", "change", ({ target }) => viewer.across(Number(target.value) - stacks.all.indexOf(viewer.stack)));
    on("play", "click", () => viewer.play());
    on("rate", "change", ({ target }) => this.chooseRate(target.valueAsNumber));
    on("png", "click", () => this.savePng());
    on("again", "click", () => viewer.slices.again(viewer.shown));
    on("window", "change", ({ target }) => viewer.choose(target.value));
    for (const name of ["center", "width"]) on(name, "change", () => this.enterWindow());
    on("invert", "click", () => viewer.invert());
    on("overlays", "click", () => viewer.toggleOverlays());
    on("reset", "click", () => viewer.reset());
    const onAll = (name, done) => on(name, "click", () => viewer.stages.forEach(done));
    onAll("closer", (stage) => viewer.zoom(stage, 1));
    onAll("further", (stage) => viewer.zoom(stage, -1));
    onAll("fit", (stage) => viewer.fit(stage));
    onAll("whole", (stage) => viewer.oneToOne(stage));
  }

  press(name, isPressed) {
    this.part(name).setAttribute("aria-pressed", isPressed);
  }

  enterWindow() {
    const [center, width] = ["center", "width"].map((name) => this.part(name).valueAsNumber);
    if (Number.isFinite(center) && width > 0) this.viewer.setWindow(center, width);
    else this.viewer.later();
  }

  // --- slices -----------------------------------------------------------------------------------

  beginStack() {
    const { stack, stacks } = this.viewer;
    this.part("stack").value = stacks.all.indexOf(stack);
    this.part("slider").max = stack.count - 1;
    this.part("along").hidden = this.part("cine").hidden = stack.count === 1;
    this.mark();
  }

  mark() {
    const { stack, stacks } = this.viewer;
    drawMarks(this.part("marks"), stack, stacks.marks);
    // Where one slice has words, their line is there for all: nothing below moves.
    this.part("note").parentElement.hidden = !stacks.haveWords(stack);
  }

  sayWhetherPlayed() {
    this.part("play").textContent = this.viewer.cine.isOn ? "Pause" : "Play";
  }

  chooseRate(rate) {
    this.hasOwnRate = rate > 0;
    if (this.hasOwnRate) this.setRate(rate);
    this.viewer.later();
  }

  setRate(rate) {
    const { cine } = this.viewer;
    cine.rate = Math.min(rate, FASTEST);
    if (this.part("rate") !== document.activeElement) this.part("rate").value = measure(cine.rate);
  }

  // --- what is said -----------------------------------------------------------------------------

  // What the picture is not for, also in the line of the page's title.
  warn() {
    const { isClinical } = this.viewer;
    if (isClinical === this.isClinical) return;
    this.isClinical = isClinical;
    this.part("warning").textContent = isClinical ? NOT_CLINICAL : NOT_DIAGNOSIS;
    this.viewer.box.classList.toggle("is-clinical", isClinical);
    this.viewer.tell("clinical", isClinical);
  }

  // `slice`: what is shown; null where it has not come.
  tell(slice) {
    const { stack, stacks, shown, strip, slices } = this.viewer;
    this.drawArrived(slice);
    const isComing = ["", "busy"].includes(slices.trouble);
    const where = `${shown - stack.first + 1} of ${stack.count}`;
    const words = [where, slice ? lies(slice.told.place) : isComing && "loading"];
    this.part("place").textContent = words.filter(Boolean).join(" · ");
    const slider = this.part("slider");
    slider.value = shown - stack.first;
    slider.setAttribute("aria-valuetext", this.part("place").textContent);
    this.part("overlays").disabled = !slice?.overlays?.length;
    this.part("lossy").hidden = !slice?.rendering?.is_lossy;
    this.part("png").disabled = !slice?.values || slice.told.step > 1;
    strip?.mark(shown);
    this.sayWhyNot(slice);
    this.part("note").textContent = stacks.said(shown).join(" · ");
    const rate = slice?.rendering?.frame_rate ?? USUAL_RATE;
    if (!this.hasOwnRate && slice?.rendering) this.setRate(rate);
  }

  drawArrived(shown) {
    const { stack, slices } = this.viewer;
    const strip = this.part("arrived");
    const brush = strip.getContext("2d");
    const [width, each] = [strip.width, strip.width / stack.count];
    brush.clearRect(0, 0, width, 1);
    brush.fillStyle = getComputedStyle(strip).color;
    let here = 0;
    for (const slice of slices.arrived) {
      if (slice < stack.first || slice > stack.last) continue;
      const left = Math.floor((slice - stack.first) * each);
      brush.fillRect(left, 0, Math.max(Math.ceil((slice - stack.first + 1) * each) - left, 1), 1);
      here++;
    }
    const absent = [...slices.absent].filter((slice) => slice >= stack.first && slice <= stack.last);
    const step = shown?.values ? shown.told.step : 1;
    const words = [
      step > 1 ? `every ${NTH[step]} row and column so far` : "",
      here + absent.length < stack.count ? `${here} of ${stack.count} loaded` : "",
    ];
    this.part("loaded").textContent = words.filter(Boolean).join(" · ");
  }

  // Why there is no picture, and what can be done about it.
  sayWhyNot(slice) {
    const text = slice ? whyNot(slice) : (TROUBLES[this.viewer.slices.trouble] ?? "");
    this.part("why").textContent = text;
    this.part("why").hidden = this.part("failed").hidden = !text;
    this.part("again").hidden = !(text && slice?.told.is_passing);
    const link = this.part("download");
    if (!link) return;
    link.hidden = !(text && slice);
    if (slice) link.href = this.viewer.box.dataset.download.replace("/0/", `/${slice.told.object}/`);
  }

  sayWindows(slice) {
    const { windows } = this.viewer;
    if (slice.values) this.sayWindow(windows.of(slice));
    windows.offer(this.part("window"), slice.rendering);
  }

  sayWindow(window) {
    const isWindow = Boolean(window) && !window.lut;
    for (const name of ["center", "width"]) {
      const field = this.part(name);
      field.disabled = !isWindow;
      if (field !== document.activeElement) field.value = isWindow ? measure(window[name]) : "";
    }
  }

  // --- what is saved ----------------------------------------------------------------------------

  async savePng() {
    const { viewer } = this;
    const { stages } = viewer;
    const { name, id } = this.part("named").dataset;
    const lossy = this.part("lossy");
    const blob = await pngOf(stages, {
      lines: this.part("named").checked ? [name, id].filter(Boolean) : [],
      notes: [
        ...viewer.layers.flatMap((layer) => [layer.named?.(stages[0]), layer.legend?.(stages[0])]),
        lossy.hidden ? "" : lossy.textContent,
        this.part("warning").textContent,
      ].filter((note) => note?.length),
    });
    save(blob, `picture-${viewer.box.dataset.series}-${this.nameOfPainted()}${stages.length > 1 ? "-planes" : ""}.png`);
  }

  // The number of what is on the canvas, as the page counts it: within its stack.
  nameOfPainted() {
    const { stacks, stages } = this.viewer;
    const { number: painted } = stages[0].painted;
    const at = stacks.at(painted);
    const number = painted - stacks.all[at].first + 1;
    return stacks.all.length > 1 ? `stack-${at + 1}-${number}` : `${number}`;
  }
}

const stackOption = ({ words, count }, at) =>
  new Option(`${words}, ${count} ${count === 1 ? "slice" : "slices"}`, at);

function whyNot({ told, values }) {
  if (values) return "";
  return told.why_not ? told.why : NO_VALUES;
}
