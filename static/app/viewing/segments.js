// The segmentations over a series' picture: which of them, and what is said of its segments.
import { Choice } from "./choice.js";
import { Masks, cropped } from "./masks.js";
import { Refused, answerOf, everyFrame, isTold } from "./records.js";
import { planeOf, pointOf } from "./space.js";
import { valuesOf } from "./values.js";

const MOST_BYTES = 256 << 20; // of masks, cut to what is in them
const NOTHING = "None of this segmentation lies over a picture of this series.";
const NOT_HERE = "No mask over a picture of this series.";
const LACKING = "Masks of this segmentation are missing or damaged, so it is not drawn.";
const TOO_MUCH = "This segmentation is too large to be drawn here.";
const OTHER_FRAME = "This picture lies in another frame of reference than the segmentation, which is not drawn over it.";

// A source of a `list`. `box` is a .over-masks, `changes` the state of the series.
export class Segments {
  constructor(viewer, list, box, changes) {
    this.list = list;
    this.changes = changes;
    this.layer = new Masks(viewer, (isElsewhere) => this.choice.say(isElsewhere ? OTHER_FRAME : ""));
    this.choice = new Choice(box, this);
    list.add(this);
  }

  // As the server offers them. What is chosen stays.
  offer(segmentations) {
    this.choice.offer(["", segmentations]);
  }

  // --- a segmentation -----------------------------------------------------------------------------

  clear() {
    this.layer.show(null, new Map());
    this.list.put(this, []);
  }

  async load({ url, frames }, signal) {
    const told = await (await answerOf(`${url}?changes=${this.changes}`, signal)).json();
    if (told.why_not) throw new Refused(told.why);
    return { told, masks: await this.masksOf(told, frames, signal) };
  }

  // The masks of each slice.
  async masksOf({ frames }, url, signal) {
    const numbers = new Set(frames.map(([frame]) => frame));
    if (!numbers.size) return new Map();
    const [first, last] = [Math.min(...numbers), Math.max(...numbers)];
    const found = new Map(); // by frame
    let [bytes, rendering] = [0, null];
    await everyFrame(url, [first, last], signal, async (one, packed) => {
      rendering = one.rendering ?? rendering;
      if (!numbers.has(one.frame)) return;
      const values = one.why_not || one.type !== "u1" ? null : await valuesOf(packed, one, 1);
      if (!values) throw new Refused(LACKING);
      const mask = cropped(values, one.columns, one.rows);
      bytes += mask?.bits.length ?? 0;
      if (bytes > MOST_BYTES) throw new Refused(TOO_MUCH);
      found.set(one.frame, mask && { ...mask, plane: planeOf({ told: one, rendering }) });
      const [now, all] = [found.size, numbers.size];
      if (!signal.aborted && isTold(now, all)) this.choice.say(`Loading: ${now} of ${all} masks`);
    });
    if (found.size < numbers.size) throw new Refused(LACKING);
    const masks = new Map();
    for (const [frame, segment, slice] of frames) {
      const mask = found.get(frame);
      if (mask) masks.set(slice, [...(masks.get(slice) ?? []), { segment, mask }]);
    }
    return masks;
  }

  show({ told, masks }) {
    this.layer.show(told, masks);
    this.choice.note([...(masks.size ? [] : [NOTHING]), ...this.leftOut(null)]);
    this.list.put(this, told.segments.map(({ name, type, colour, number }, at) => {
      const kind = ["segment", type].filter(Boolean).join(", ");
      return { name, kind, colour, isEmpty: this.middleOf(at) === null, also: number };
    }));
  }

  // --- what its list asks for ---------------------------------------------------------------------

  saidOf(at) {
    const leftOut = this.leftOut(at);
    return leftOut.length || this.middleOf(at) !== null ? leftOut : [NOT_HERE];
  }

  isAmiss(at) {
    return this.leftOut(at).length > 0;
  }

  // Of a segment what lies over no picture here; null for one that is not described.
  leftOut(at) {
    return this.layer.shown.left_out.filter(([segment]) => segment === at).map(([, words]) => words);
  }

  // The middle one of the slices that have a segment; null where none has.
  middleOf(at) {
    const { masks } = this.layer;
    const slices = [...masks].filter(([, all]) => all.some(({ segment }) => segment === at));
    const numbers = slices.map(([slice]) => slice).sort((a, b) => a - b);
    return numbers[numbers.length >> 1] ?? null;
  }

  // The point of the patient in the middle of what a segment has on a slice.
  centreOf(at, slice) {
    const { mask } = this.layer.masks.get(slice).find(({ segment }) => segment === at);
    const { left, top, columns, rows, plane } = mask;
    return plane && pointOf(plane, [left + (columns - 1) / 2, top + (rows - 1) / 2]);
  }
}
