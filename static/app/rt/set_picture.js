// The picture on a structure set's page: the middle slice of the marked structure, with its contours
// and, thin, those of all others. Of its series that slice alone is fetched, and of its neighbours as
// much as says where they lie.
import { contoursOf } from "../viewing/contours.js";
import { Outlines } from "../viewing/outlines.js";
import { Refused, answerOf, recordsOf, whyNot } from "../viewing/records.js";
import { planeOf } from "../viewing/space.js";
import { Stage } from "../viewing/stage.js";
import { overlaysOf, valuesOf } from "../viewing/values.js";
import { Windows } from "../viewing/windows.js";
import { NO_VALUES, lies } from "../viewing/words.js";

const SMALL = 4; // every so many rows and columns of a slice that is not shown
const MOST = 400; // slices that are asked for where contours name no images
const KEPT = 20; // pictures
const AT_ONCE = 20; // slices that are looked for beside one
const WIDE = matchMedia("(min-width: 1100px)");

const DAMAGED = "The contours came damaged: reload the page.";
const DIFFERS = "Two readings of this structure set differ, so its picture cannot be matched to the list.";

const box = document.getElementById("set-picture");
const rows = [...document.querySelectorAll(".roi")];
const said = (name) => box.querySelector(`[data-said=${name}]`);
const keyOf = (row) => row.id.replace("structure-", "");

class SetPicture {
  constructor() {
    this.stage = new Stage(box.querySelector(".viewer-stage"), () => this.draw());
    this.layer = new Outlines(() => this.draw());
    this.windows = new Windows();
    this.slices = new Map(); // by number, those used last at the end
    this.shown = null; // the number of what is shown
    this.set = null;
    this.row = null; // that is marked
    this.asked = null; // what is being fetched
  }

  async begin() {
    this.say("Loading …");
    try {
      const set = await contoursOf(await (await answerOf(box.dataset.contours)).arrayBuffer());
      if (!set) throw new Refused(DAMAGED);
      if (set.words.why_not) throw new Refused(set.words.why);
      this.take(set);
    } catch (error) {
      this.fail(error);
    }
  }

  take(set) {
    this.stack = { first: 0, last: set.sliceCount - 1 };
    this.rois = new Map(set.rois.map((roi) => [roi.page.match(/(\d+)\/$/)?.[1], roi]));
    if (!rows.every((row) => this.rois.has(keyOf(row)))) throw new Refused(DIFFERS);
    this.set = set;
    this.layer.show(set);
    void this.show();
  }

  fail(error) {
    this.nothing(whyNot(error));
    if (!(error instanceof Refused || error instanceof TypeError)) throw error;
  }

  say(why) {
    said("why").textContent = why;
  }

  mark(row) {
    if (row === this.row) return;
    this.row?.classList.remove("roi-marked");
    row.classList.add("roi-marked");
    this.row = row;
    if (this.set) void this.show();
  }

  async show() {
    const roi = this.rois.get(keyOf(this.row));
    this.asked?.abort();
    this.asked = new AbortController();
    const { signal } = this.asked;
    this.layer.marked = roi?.at ?? null;
    this.tell(this.row.querySelector(".row-name").textContent, roi);
    if (!roi?.contours.length) return this.nothing("It has no contours.");
    this.say("");
    try {
      const number = await this.fetched(roi, signal);
      if (signal.aborted) return;
      if (number === null) return this.nothing(this.set.saidOf(roi).join(" "));
      this.shown = number;
      this.draw();
      this.tellOf(roi, number);
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  nothing(why) {
    this.shown = null;
    this.draw();
    this.say(why);
  }

  tell(name, roi) {
    said("name").textContent = name;
    said("place").textContent = "";
    if (!said("series")) return;
    said("series").href = roi && roi.number !== null ? `${box.dataset.series}&roi=${roi.number}` : box.dataset.series;
  }

  tellOf(roi, number) {
    const slice = this.slices.get(number);
    if (!slice) return this.say("The picture is not there.");
    const words = [`slice ${number + 1} of ${this.set.sliceCount}`, lies(slice.told.place)];
    said("place").textContent = words.filter(Boolean).join(" · ");
    this.say(slice.values ? "" : slice.told.why || NO_VALUES);
  }

  // The number of a ROI's middle slice, which is here; null where it lies on none. That a contour
  // lies elsewhere than the image that it names is known when that is here.
  async fetched(roi, signal) {
    let number = await this.middleOf(roi, signal);
    for (let before = null; number !== before && number !== null; ) {
      await Promise.all([this.hold(number, signal), this.neighbours(number, signal)]);
      [before, number] = [number, this.set.middleOf(roi, 0, Infinity)];
    }
    return number;
  }

  async middleOf(roi, signal) {
    const middle = this.set.middleOf(roi, 0, Infinity);
    if (middle !== null || this.set.isAllKnown || this.set.sliceCount > MOST) return middle;
    await this.see(0, this.set.sliceCount - 1, signal);
    return this.set.middleOf(roi, 0, Infinity);
  }

  // --- fetched ------------------------------------------------------------------------------------

  async hold(number, signal) {
    const there = this.slices.get(number);
    if (there) {
      this.slices.delete(number);
      this.slices.set(number, there);
      return;
    }
    for (const { told, rendering, packed } of await records(number, number, 1, signal)) {
      const samples = rendering?.photometric === "RGB" ? 3 : 1;
      const values = told.why_not ? null : await valuesOf(packed, told, samples);
      const overlays = values ? await overlaysOf(told) : [];
      this.slices.set(told.slice, { told, rendering, values, overlays });
      this.know(told, rendering);
    }
    for (const one of this.slices.keys()) if (this.slices.size > KEPT) this.slices.delete(one);
  }

  async neighbours(number, signal) {
    const last = this.set.sliceCount - 1;
    const [before, after] = [Math.max(number - 1, 0), Math.min(number + 1, last)];
    const isKnown = [before, number, after].every((one) => this.set.slices.has(one));
    if (!isKnown) await this.see(before, after, signal);
    // Several may lie in one place.
    for (let lacking = []; (lacking = this.set.unknownBeside(number)).length; ) {
      for (const one of lacking) {
        const ends = one < number ? [Math.max(one - AT_ONCE, 0), one] : [one, Math.min(one + AT_ONCE, last)];
        await this.see(...ends, signal);
      }
    }
  }

  async see(first, last, signal) {
    for (const { told, rendering } of await records(first, last, SMALL, signal)) this.know(told, rendering);
    // Of one that is not sent it is not known where it lies.
    for (let one = first; one <= last; one++) if (!this.set.slices.has(one)) this.set.see(one, { plane: null });
  }

  know(told, rendering) {
    const plane = planeOf({ told, rendering });
    this.set.see(told.slice, { ...told.place, object: told.object, frame: told.frame, stack: this.stack, plane });
  }

  // --- drawn --------------------------------------------------------------------------------------

  draw() {
    const { stage, windows } = this;
    const slice = this.slices.get(this.shown);
    const isPicture = Boolean(slice?.values);
    stage.show(isPicture ? slice : null, this.shown);
    if (isPicture) {
      const window = windows.of(slice);
      stage.paint({ window, key: windows.keyOf(window), isInverted: false, hasOverlays: true, isHurried: false });
    } else stage.clear();
    stage.cover([this.layer], true);
    document.getElementById("clinical").hidden = !(isPicture && this.layer.isClinical);
  }
}

// Slices as the server sends them.
async function records(first, last, step, signal) {
  const asked = new URLSearchParams({ from: first, first, last, step });
  const found = [];
  let rendering = null;
  for await (const { told, packed } of recordsOf(await answerOf(`${box.dataset.pictures}&${asked}`, signal))) {
    if (told.all_sent) break;
    rendering = told.rendering ?? rendering;
    found.push({ told, rendering, packed });
  }
  return found;
}

// --- the page -------------------------------------------------------------------------------------

const OWN = "a, button, input, label, select, textarea, summary";
const picture = new SetPicture();
let hasBegun = false;

function begin() {
  if (hasBegun || !box.open) return;
  hasBegun = true;
  void picture.begin();
}

function first() {
  const marked = document.querySelector(".roi-marked");
  return marked ?? rows.find((row) => !row.matches(".roi-empty")) ?? rows[0];
}

picture.mark(first());
document.querySelector(".list-rois").addEventListener("focusin", ({ target }) => {
  const row = target.closest(".roi");
  if (row) picture.mark(row);
});
// Beside a row's links a click marks it, where in other lists it opens it.
document.querySelector(".list-rois").addEventListener("click", (event) => {
  const row = event.target.closest(".roi");
  if (!row || event.target.closest(OWN)) return;
  event.preventDefault();
  picture.mark(row);
});
box.addEventListener("toggle", begin);
const unfold = () => {
  if (WIDE.matches) box.open = true;
};
WIDE.addEventListener("change", unfold);
unfold();
begin();
