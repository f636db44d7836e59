// All of one series' picture: the slices that are looked through, the stages that show them or what
// is cut through them, and what lies over these. A page may have several.
//
// It tells of "shown" where another slice is shown, of "painted" (a stage) where what a stage has is
// another, of "stack" where another stack is looked through, of "arrived" {slice, object} and "came"
// (an inflated slice) as `slices.js` does, of "pointed" {stage, point}, or null beside a picture; and of
// "drawing" in each frame in which it paints: now a stage may be given something else to show. It is
// told of "sought", a point of the patient, by who leads to what lies around it.
import { Cine } from "./cine.js";
import { isGrey, percentiles, warmUp } from "./greys.js";
import { Distance } from "./distance.js";
import { DRAGS, Hands } from "./hands.js";
import { saidOf } from "./reading.js";
import { Slices } from "./slices.js";
import { Stacks } from "./stacks.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { Tools } from "./tools.js";
import { Windows, saidBy } from "./windows.js";

const AHEAD = 3; // slices that are inflated before they are asked for

export class Viewer extends EventTarget {
  // `box` is a .viewer, `strip` where its small pictures are; null where it has none.
  constructor(box, { strip = null } = {}) {
    super();
    this.box = box;
    const pictured = JSON.parse(box.dataset.pictured);
    this.stacks = new Stacks(pictured);
    this.stack = null; // that is looked through
    this.shown = pictured.start; // the number of a slice
    this.slices = new Slices(box.dataset.url, this.stacks.count);
    this.windows = new Windows();
    this.isInverted = false;
    this.hasOverlays = true;
    this.isHurried = false; // a window is dragged
    this.drags = new Map(Object.entries(DRAGS));
    // What lies over pictures, those below first: {draw(stage)}, and where there is anything to it
    // lie(stage), which is called whenever the picture may lie elsewhere,
    // told(stage, point) and named(stage), which give words, legend(stage), which gives [words, colour]
    // of each, sought(number of a slice), which gives the point of the patient that it leads to,
    // pressed(stage, key), isClinical.
    this.layers = [new Distance(this)];
    this.haveLayersChanged = false;
    this.isDue = false;
    this.awaited = null; // an object whose slices are not known yet
    this.asked = null; // a slice that is to be played next
    this.cine = new Cine(() => this.playOn());
    this.pointed = null; // a stage, and where on it, as parts of its side
    this.keysAreLacking = pictured.has_key_objects;
    this.strip = strip && new Strip(strip, (slice) => this.show(slice));
    this.stages = [];
    this.begun = new Promise((begin) => (this.begin = begin)); // the first picture is drawn, or none comes
    const stage = this.add(box.querySelector(".viewer-stage"));
    stage.walk = walkOf(this);
    this.tools = new Tools(this);
    this.listen();
    this.look(this.stacks.all[this.stacks.at(this.shown)]);
    this.open(this.shown);
    warmUp();
  }

  part(name) {
    return this.box.querySelector(`[data-part=${name}]`);
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // Makes a stage of a .viewer-stage.
  add(element) {
    const stage = new Stage(element, () => this.later());
    this.stages.push(stage);
    new Hands(this, stage);
    return stage;
  }

  remove(stage) {
    this.stages = this.stages.filter((one) => one !== stage);
    if (this.pointed?.stage === stage) this.pointed = null;
    stage.end();
  }

  addLayer(layer) {
    this.layers.push(layer);
    this.redraw();
  }

  removeLayer(layer) {
    this.layers = this.layers.filter((one) => one !== layer);
    for (const stage of this.stages) stage.leave(layer);
  }

  // --- what has come ----------------------------------------------------------------------------

  listen() {
    const { slices } = this;
    slices.addEventListener("came", ({ detail }) => {
      if (!this.stages[0].slice && detail.told.slice === this.shown) this.draw(); // not in a frame of its own
      this.fillStrip(detail);
      this.tell("came", detail);
    });
    slices.addEventListener("arrived", ({ detail }) => this.noteArrived(detail));
    slices.addEventListener("changed", () => {
      if (slices.trouble) this.begin();
      this.later();
    });
  }

  noteArrived({ slice, object }) {
    if (object === this.awaited) this.goTo(slice);
    this.askForStrip(slice);
    if (this.keysAreLacking) {
      this.keysAreLacking = false;
      void this.markKeys();
    }
    this.tell("arrived", { slice, object });
  }

  fillStrip(slice) {
    const { rendering } = slice;
    this.strip?.paint(slice, rendering, rendering && saidBy(rendering)[0]);
  }

  askForStrip(slice) {
    if (!this.strip?.lacks.has(slice) || !this.slices.hasArrived(slice)) return;
    const there = this.slices.get(slice);
    if (there) this.fillStrip(there);
    else this.slices.also(slice);
  }

  // What key object documents say of slices comes when the first picture is there.
  async markKeys() {
    try {
      const response = await fetch(this.box.dataset.keys);
      if (!response.ok || response.redirected) return;
      this.stacks.marks.push(...(await response.json()));
    } catch (error) {
      if (error instanceof TypeError) return; // the network
      throw error;
    }
    this.tools.mark();
    this.later();
  }

  // --- what is shown ----------------------------------------------------------------------------

  // By hand, which ends what is played.
  show(slice) {
    this.stop();
    this.open(slice);
  }

  open(slice) {
    const { slices, stack } = this;
    const next = Math.min(Math.max(slice, stack.first), stack.last);
    const step = next < this.shown ? -1 : 1;
    this.awaited = null;
    this.shown = next;
    slices.show(next);
    for (let ahead = 1; ahead <= AHEAD; ahead++) {
      const one = next + step * ahead;
      if (slices.hasArrived(one) && !slices.get(one)) slices.also(one);
    }
    this.later();
    this.tell("shown", next);
  }

  // A slice of whatever stack.
  goTo(slice) {
    const next = this.stacks.all[this.stacks.at(slice)];
    if (next !== this.stack) this.look(next);
    this.show(slice);
  }

  // The first slice of an object, once it is known which.
  goToObject(object) {
    const slices = this.slices.of(object);
    if (slices.length) this.goTo(Math.min(...slices));
    else this.awaited = object;
  }

  across(steps) {
    if (this.stacks.all.length > 1) this.goTo(this.stacks.across(this.shown, steps));
  }

  look(stack) {
    this.stack = stack;
    this.slices.lookThrough(stack);
    this.tools.beginStack();
    this.strip?.begin(stack);
    for (const slice of [...(this.strip?.lacks ?? [])]) this.askForStrip(slice);
    this.tell("stack", stack);
  }

  // --- played -----------------------------------------------------------------------------------

  playOn() {
    const { slices, stack, shown } = this;
    const next = shown >= stack.last ? stack.first : shown + 1;
    if (slices.get(next)) {
      this.asked = null;
      this.open(next);
      return true;
    }
    if (this.asked !== next) {
      if (slices.hasArrived(next)) slices.also(next);
      else slices.want(next);
    }
    this.asked = next;
    return false;
  }

  play() {
    if (this.stack.count === 1) return;
    if (this.cine.isOn) return this.stop();
    this.asked = null;
    this.cine.start();
    this.tools.sayWhetherPlayed();
  }

  stop() {
    this.cine.stop();
    this.tools.sayWhetherPlayed();
  }

  // --- drawn ------------------------------------------------------------------------------------

  later() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  // Also what lies over pictures that have stayed the same: a layer has changed.
  redraw() {
    this.haveLayersChanged = true;
    this.later();
  }

  // Whether contours, masks or doses are drawn.
  get isClinical() {
    return this.layers.some((layer) => layer.isClinical);
  }

  get current() {
    return this.slices.get(this.shown);
  }

  draw() {
    const slice = this.current;
    const [stage] = this.stages;
    this.box.classList.toggle("is-waiting", !slice);
    stage.show(slice?.values ? slice : null, this.shown);
    if (slice && !slice.values) stage.clear();
    if (slice) this.begin();
    this.tell("drawing");
    for (const one of this.stages) this.paint(one);
    this.tools.tell(slice);
    if (slice) this.tools.sayWindows(slice);
    this.tools.warn();
    this.haveLayersChanged = false;
    this.readOut();
  }

  paint(stage) {
    const { windows, isInverted, hasOverlays, isHurried } = this;
    const { slice } = stage;
    if (slice) {
      const window = windows.of(slice);
      stage.paint({ window, key: windows.keyOf(window), isInverted, hasOverlays, isHurried });
    }
    const { isNew } = stage;
    stage.cover(this.layers, this.haveLayersChanged);
    stage.isNew = false;
    if (isNew) this.tell("painted", stage);
  }

  // --- under the pointer ------------------------------------------------------------------------

  point(stage, event) {
    const at = event && stage.onCanvas(event).map((one) => one / stage.canvas.width);
    this.pointed = at && { stage, at };
    this.readOut();
    const point = this.pointAt();
    this.tell("pointed", point && { stage, point });
  }

  pointAt() {
    if (!this.pointed) return null;
    const { stage, at } = this.pointed;
    return stage.pointAt(at.map((one) => one * stage.canvas.width));
  }

  // Of what is shown, whenever it has changed.
  readOut() {
    const point = this.pointAt();
    this.part("value").textContent = point ? this.saidAt(this.pointed.stage, point) : "";
  }

  saidAt(stage, point) {
    const words = saidOf(stage.slice, stage.plane, point);
    const more = this.layers.map((layer) => layer.told?.(stage, point));
    return [...words, ...more].filter(Boolean).join(" · ");
  }

  // --- what is done to it -----------------------------------------------------------------------

  choose(name) {
    this.windows.choose(name);
    this.later();
  }

  // Whether there is such a window.
  chooseNth(number) {
    const option = this.part("window").querySelectorAll("option:not([value=own])")[number];
    if (option) this.choose(option.value);
    return Boolean(option);
  }

  setWindow(center, width) {
    const slice = this.current;
    if (!slice?.values || !isGrey(slice.rendering)) return;
    this.windows.set(center, width, slice.rendering);
    this.later();
  }

  // The window that dragging begins with; null where there is none.
  windowToDrag({ slice }) {
    const window = slice && this.windows.of(slice);
    return window?.lut ? percentiles(slice, slice.rendering) : window;
  }

  // The way in which a pointer drags.
  get dragged() {
    return this.part("drags").value;
  }

  reset() {
    this.windows.choose("said 0");
    this.isInverted = false;
    this.tools.press("invert", false);
    for (const { view } of this.stages) view.fit();
    this.later();
  }

  invert() {
    this.isInverted = !this.isInverted;
    this.tools.press("invert", this.isInverted);
    this.later();
  }

  toggleOverlays() {
    this.hasOverlays = !this.hasOverlays;
    this.tools.press("overlays", this.hasOverlays);
    this.later();
  }

  zoom({ view }, steps, ...at) {
    if (!view.columns) return;
    view.zoomBy(steps, ...at);
    this.later();
  }

  move({ view }, x, y) {
    if (!view.columns) return;
    view.move(x, y);
    this.later();
  }

  fit({ view }) {
    view.fit();
    this.later();
  }

  oneToOne({ view }) {
    view.oneToOne();
    this.later();
  }
}

// The slices of the stack that is looked through, as they are gone through.
const walkOf = (viewer) => ({
  get at() {
    return viewer.shown;
  },
  get first() {
    return viewer.stack.first;
  },
  get last() {
    return viewer.stack.last;
  },
  to: (slice) => viewer.show(slice),
});
