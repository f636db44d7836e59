// A stack in three planes: its slices, and two planes across them, with a crosshair through all.
//
// Whether there can be any is the server's word, app/viewing/planes.py, and what the pictures say of
// themselves. All slices are needed, and kept while planes are shown.
import { size, write } from "../shared/words.js";
import { Crosshair } from "./crosshair.js";
import { Gathering } from "./gathering.js";
import { isGrey } from "./greys.js";
import { pointOf } from "./space.js";
import { TROUBLES } from "./tools.js";
import { Volume, whyNoBlock } from "./volume.js";

const FEWEST = 3; // slices, of which planes may be made
const VALUE = 2; // bytes, as the server counts
const BYTES = { u1: 1, i1: 1, u4: 4, i4: 4, f4: 4 };
const LARGEST = 1e9; // bytes
const ORDER = ["Axial", "Coronal", "Sagittal"];
const DRAGS = "crosshair";

export class Planes {
  constructor(viewer) {
    this.viewer = viewer;
    this.offer = null; // what the server says of the stack
    this.why = ""; // why there are none, as the pictures say
    this.gathering = null;
    this.volume = null;
    this.voxel = null; // that all planes go through
    this.cuts = []; // {stage, axis, shown}: the planes across the slices
    this.crosshair = new Crosshair();
    viewer.drags.set(DRAGS, (_, stage, event) => this.dragged(stage, event));
    viewer.addEventListener("stack", () => this.begin());
    viewer.addEventListener("shown", ({ detail }) => this.follow(detail));
    viewer.addEventListener("sought", ({ detail }) => this.seek(detail));
    viewer.addEventListener("came", () => this.ask());
    viewer.addEventListener("drawing", () => this.draw());
    viewer.box.addEventListener("keydown", (event) => this.pressed(event));
    const on = (name, done) => this.part(name).addEventListener("click", done);
    on("three", () => (this.volume ? this.leave() : this.gather()));
    on("cancel", () => this.cancel());
    on("crosshair", () => this.toggleCrosshair());
    this.begin();
  }

  part(name) {
    return this.viewer.part(name);
  }

  // --- whether there are any --------------------------------------------------------------------

  // With another stack.
  begin() {
    this.cancel();
    this.leave();
    [this.offer, this.why, this.mayTryAgain, this.asked] = [null, "", false, null];
    this.ask();
    this.say();
  }

  // Once there is a picture: that comes first.
  ask() {
    const { stack, current } = this.viewer;
    if (!current || this.asked === stack || stack.count < FEWEST) return;
    this.asked = stack;
    void this.fetch(stack);
  }

  async fetch(stack) {
    const { box, stacks } = this.viewer;
    try {
      const response = await fetch(`${box.dataset.planes}&stack=${stacks.all.indexOf(stack)}`);
      const isChanged = response.status === 409;
      if (!isChanged && (!response.ok || response.redirected)) return;
      const offer = isChanged ? { why: TROUBLES.changed } : await response.json();
      if (stack === this.viewer.stack) this.offer = offer;
    } catch (error) {
      if (error instanceof TypeError) return; // the network
      throw error;
    }
    this.say();
  }

  // As the slice that is shown has values; all others mostly have the same.
  get bytes() {
    const each = BYTES[this.viewer.current?.told.type] ?? VALUE;
    return (this.offer.bytes * each) / VALUE;
  }

  get whyNot() {
    const { rendering } = this.viewer.current ?? {};
    if (this.offer.why) return this.offer.why;
    if (rendering && !isGrey(rendering)) return "Pictures in colours are not shown in three planes.";
    if (this.bytes > LARGEST) {
      return `Three planes would take ${size(this.bytes)} of memory; the limit is ${size(LARGEST)}.`;
    }
    return this.why;
  }

  say() {
    this.part("planes").hidden = !this.offer;
    if (!this.offer) return;
    const { volume, gathering } = this;
    const why = volume ? "" : this.whyNot;
    const button = this.part("three");
    const memory = this.offer.bytes ? ` (${size(this.bytes)})` : "";
    write(button, volume ? "Back to the slices" : `Three planes${memory}`);
    button.disabled = Boolean(gathering || (why && !this.mayTryAgain));
    this.part("cancel").hidden = !gathering;
    this.part("crosshair").hidden = this.part("point").hidden = !volume;
    write(this.part("planes-came"), gathering ? `${this.came} of ${this.offer.slices} slices` : "");
    write(this.part("planes-words"), gathering ? "" : why);
  }

  // --- all slices -------------------------------------------------------------------------------

  gather() {
    const { viewer } = this;
    [this.came, this.why, this.mayTryAgain] = [0, "", false];
    viewer.stop();
    this.gathering = new Gathering(viewer.slices, viewer.stack, viewer.shown, (heard) => this.hear(heard));
    this.gathering.begin();
    this.say();
  }

  hear({ came, all, trouble, isPassing }) {
    if (came) this.came = came;
    else this.gathering = null;
    if (trouble) [this.why, this.mayTryAgain] = [trouble, isPassing];
    if (all) this.why = whyNoBlock(all);
    if (all && !this.why) this.enter(all);
    this.say();
  }

  cancel() {
    if (!this.gathering) return;
    this.gathering.end();
    this.gathering = null;
    this.say();
  }

  // --- in three planes --------------------------------------------------------------------------

  enter(slices) {
    const { viewer } = this;
    this.volume = new Volume(slices);
    this.numbers = this.volume.slices.map(({ told }) => told.slice);
    viewer.slices.block = new Map(slices.map((one) => [one.told.slice, one]));
    viewer.slices.want(viewer.shown); // and what is beside it: others may have been let go
    viewer.box.classList.add("has-planes");
    viewer.stages[0].part("name").hidden = false;
    const axes = [0, 1].sort((one, other) => this.rank(one) - this.rank(other));
    this.cuts = axes.map((axis) => ({ axis, stage: this.addStage(axis), shown: null }));
    const drags = this.part("drags");
    this.draggedBefore = drags.value;
    drags.add(new Option("the crosshair", DRAGS), 0);
    drags.value = DRAGS;
    viewer.addLayer(this.crosshair);
    this.go(this.first());
    viewer.stages[0].element.scrollIntoView({ block: "nearest" }); // the page is laid out anew
  }

  // Where something is marked, its middle; else that of the picture.
  first() {
    const { volume, viewer } = this;
    const [marked] = viewer.layers.map((layer) => layer.sought?.(viewer.shown)).filter(Boolean);
    if (marked) return volume.voxelOf(marked);
    const [columns, rows] = volume.counts;
    return [columns >> 1, rows >> 1, this.numbers.indexOf(viewer.shown)];
  }

  rank(axis) {
    return ORDER.indexOf(this.volume.nameOf(axis));
  }

  addStage(axis) {
    const { viewer, volume } = this;
    const [made] = this.part("plane").content.cloneNode(true).children;
    this.part("stages").append(made);
    const stage = viewer.add(made);
    const planes = this;
    stage.walk = {
      first: 0,
      last: volume.counts[axis] - 1,
      get at() {
        return planes.voxel[axis];
      },
      to: (index) => planes.goTo(axis, index),
    };
    stage.part("name").hidden = false;
    stage.canvas.setAttribute("aria-label", `${volume.nameOf(axis)} plane`);
    return stage;
  }

  nameStage(stage, axis) {
    const { volume, voxel } = this;
    write(stage.part("name"), `${volume.nameOf(axis)} ${voxel[axis] + 1} of ${volume.counts[axis]}`);
  }

  leave() {
    if (!this.volume) return;
    const { viewer } = this;
    const [first] = viewer.stages;
    for (const { stage } of this.cuts) {
      viewer.remove(stage);
      stage.element.remove();
    }
    viewer.removeLayer(this.crosshair);
    [this.volume, this.voxel, this.cuts] = [null, null, []];
    viewer.slices.block = new Map();
    viewer.slices.show(viewer.shown);
    viewer.box.classList.remove("has-planes");
    first.part("name").hidden = true;
    const drags = this.part("drags");
    drags.querySelector(`option[value=${DRAGS}]`).remove();
    drags.value = this.draggedBefore;
    viewer.later();
    this.say();
  }

  pressed(event) {
    if (event.key !== "Escape" || event.defaultPrevented || !(this.volume || this.gathering)) return;
    event.preventDefault();
    const isOnPlane = this.cuts.some(({ stage }) => stage.canvas === document.activeElement);
    this.cancel();
    this.leave();
    if (isOnPlane) this.viewer.stages[0].canvas.focus();
  }

  // --- where they cross -------------------------------------------------------------------------

  go(voxel) {
    const { viewer, volume } = this;
    this.voxel = voxel.map((one, axis) => Math.min(Math.max(one, 0), volume.counts[axis] - 1));
    this.crosshair.point = volume.pointOf(this.voxel);
    const places = this.crosshair.point.map((one, n) => `${"xyz"[n]} ${one.toFixed(1)}`);
    this.part("point").textContent = `${places.join(", ")} mm`;
    const slice = this.numbers[this.voxel[2]];
    if (slice !== viewer.shown) viewer.show(slice);
    viewer.later();
  }

  goTo(axis, index) {
    this.go(this.voxel.with(axis, index));
  }

  // Another slice is shown.
  follow(slice) {
    if (!this.volume) return;
    const index = this.numbers.indexOf(slice);
    if (index >= 0 && index !== this.voxel?.[2]) this.goTo(2, index);
  }

  // Something that lies around a point is shown.
  seek(point) {
    if (this.volume) this.go(this.volume.voxelOf(point));
  }

  dragged(stage, event) {
    this.pointTo(stage, event);
    return { moved: (far, by, now) => this.pointTo(stage, now) };
  }

  // To the voxel under the pointer, in the plane that a stage shows.
  pointTo(stage, event) {
    const pixel = stage.pointAt(stage.onCanvas(event));
    if (!pixel) return;
    const axis = this.cuts.find((one) => one.stage === stage)?.axis ?? 2;
    const voxel = this.volume.voxelOf(pointOf(stage.plane, pixel));
    this.go(voxel.with(axis, this.voxel[axis]));
  }

  toggleCrosshair() {
    this.crosshair.isOn = !this.crosshair.isOn;
    this.part("crosshair").setAttribute("aria-pressed", this.crosshair.isOn);
    this.viewer.later();
  }

  draw() {
    const { viewer, volume, voxel } = this;
    if (!volume) return this.offer && this.say();
    for (const cut of this.cuts) {
      const index = voxel[cut.axis];
      if (cut.shown === index) continue;
      cut.shown = index;
      cut.stage.show(volume.cut(cut.axis, index));
      this.nameStage(cut.stage, cut.axis);
    }
    this.nameStage(viewer.stages[0], 2);
    // Where the picture is another, it is drawn as all layers are.
    for (const stage of viewer.stages) if (stage.slice && !stage.isNew) this.crosshair.draw(stage);
  }
}
