// The structure sets over a series' picture: which of them, and what is said of its ROIs.
import { Choice } from "./choice.js";
import { contoursOf } from "./contours.js";
import { Outlines, nameOf } from "./outlines.js";
import { Refused, answerOf } from "./records.js";

const SOON = 400; // ms after the last slice has come, what is not drawn is told again

const DAMAGED = "The contours came damaged: choose them again.";
const NONE_HERE = "No structure set refers to this series or shares its frame of reference.";
const NOT_OFFERED = "The structure set of this address is not offered for this series.";

// A source of a `list`. `box` is a .over-sets, `changes` the state of the series.
export class Structures {
  constructor(viewer, list, box, changes) {
    this.viewer = viewer;
    this.list = list;
    this.changes = changes;
    this.layer = new Outlines(() => viewer.redraw());
    this.asked = new URLSearchParams(location.search);
    this.choice = new Choice(box, this);
    list.add(this);
    viewer.addEventListener("arrived", ({ detail }) => this.see([detail.slice]));
    viewer.slices.addEventListener("lacking", ({ detail }) => this.see(detail));
  }

  get set() {
    return this.layer.set;
  }

  // `sets` are as the server offers them. What is chosen stays.
  offer(sets) {
    const those = (wanted) => sets.filter(({ refers }) => refers === wanted);
    this.choice.offer(["Refer to this series", those(true)], ["Share its frame of reference", those(false)]);
    if (this.choice.value) return;
    const wanted = this.asked.get("set");
    const asked = sets.find(({ object }) => String(object) === wanted);
    if (asked) return this.choice.choose(String(asked.object));
    const said = [wanted && NOT_OFFERED, !sets.length && NONE_HERE];
    this.choice.say(said.filter(Boolean).join(" "));
    this.remember();
  }

  // --- a set --------------------------------------------------------------------------------------

  clear() {
    this.layer.show(null);
    this.list.put(this, []);
    if (this.choice.value) return;
    this.asked = new URLSearchParams();
    this.remember();
  }

  async load({ url }, signal) {
    const answer = await answerOf(`${url}?changes=${this.changes}`, signal);
    const set = await contoursOf(await answer.arrayBuffer());
    if (!set) throw new Refused(DAMAGED);
    return set;
  }

  show(set) {
    this.choice.say(set.words.why ?? "");
    for (const number of this.viewer.slices.places.keys()) this.tellOf(set, number);
    this.layer.show(set);
    void set.cuts.prepare(() => this.set === set);
    this.choice.note(this.leftOut(null));
    this.list.put(this, set.rois.map(itemOf));
    const asked = this.asked.get("set") === this.choice.value ? this.asked.get("roi") : null;
    const marked = asked === null ? undefined : set.rois.find(({ number }) => String(number) === asked);
    this.asked = new URLSearchParams();
    if (marked) this.list.goToPlace(this, marked.at);
    this.remember();
  }

  // Where a slice lies.
  tellOf(set, number) {
    const { slices, stacks } = this.viewer;
    set.see(number, { ...slices.places.get(number), stack: stacks.all[stacks.at(number)] });
  }

  see(numbers) {
    if (!this.set) return;
    const { shown } = this.viewer;
    const before = this.set.halfOf(shown);
    for (const number of numbers) this.tellOf(this.set, number);
    if (this.set.halfOf(shown) !== before) this.viewer.redraw();
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.list.tell(this), SOON);
  }

  // In the address: the set and the marked ROI.
  remember() {
    const url = new URL(location);
    const roi = this.set?.rois[this.layer.marked]?.number;
    const now = { set: this.choice.value, roi: roi ?? "" };
    for (const [name, value] of Object.entries(now)) {
      if (value === "") url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  }

  // --- what its list asks for ---------------------------------------------------------------------

  haveMarked() {
    if (this.set) this.remember();
  }

  // What is not drawn; it is known when slices have come.
  saidOf(at) {
    const roi = this.set.rois[at];
    return [...this.leftOut(roi.number ?? undefined), ...this.set.saidOf(roi)];
  }

  isAmiss(at) {
    const roi = this.set.rois[at];
    return this.leftOut(roi.number ?? undefined).length > 0 || this.set.isAmiss(roi);
  }

  // What the server could not read of a ROI.
  leftOut(number) {
    return (this.set.words.left_out ?? []).filter(({ roi }) => roi === number).map(({ words }) => words);
  }

  middleOf(at) {
    const { first, last } = this.viewer.stack;
    return this.set.middleOf(this.set.rois[at], first, last);
  }

  centreOf(at, slice) {
    return this.set.centreOf(this.set.rois[at], slice);
  }
}

function itemOf(roi) {
  const isEmpty = !roi.contours.length;
  return { name: nameOf(roi), kind: kindOf(roi), colour: roi.colour, isEmpty, also: roi.number ?? "" };
}

// "organ", "point": what it stands for, and that it has no outline.
function kindOf({ type, contours }) {
  const isPoint = contours.length > 0 && contours.every(({ kind }) => kind === "point");
  return [type, isPoint && "point"].filter(Boolean).join(", ");
}
