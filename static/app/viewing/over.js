// What can be drawn over a series' pictures: asked for, and offered in the box beside them. What the
// server knows of that is by the frame of reference of the series: where slices come that lie in
// another one it is asked again.
import { Doses } from "./doses.js";
import { List } from "./list.js";
import { offerOthers } from "./others.js";
import { Refused, answerOf } from "./records.js";
import { Segments } from "./segments.js";
import { Structures } from "./structures.js";

const AGAIN = 1_000; // ms from an answer to the next question
const MOST_FRAMES = 20; // that the server takes
// Lists that the server tells the first of, and as a whole where it is asked for that: what each is of.
const LONG = { structure_sets: "structure set", doses: "dose", segmentations: "segmentation" };

// `box` is the page's #over; null where the page has none.
export function offerOver(viewer, box) {
  if (box) new Offers(viewer, box);
}

class Offers {
  constructor(viewer, box) {
    this.viewer = viewer;
    this.box = box;
    this.panel = box.querySelector(".over-structures");
    this.set = new URLSearchParams(location.search).get("set"); // that is offered however many there are
    this.frames = new Set(); // of reference that slices lie in, besides that of the series
    this.lists = { structure_sets: [], doses: [], segmentations: [], series: [] };
    this.whole = new Set(); // lists that are asked for as a whole
    this.sources = null; // once there is an answer
    this.isDue = false;
    this.asked = viewer.begun.then(() => this.ask());
    viewer.addEventListener("arrived", ({ detail }) => void this.meet(detail.slice));
    for (const slice of viewer.slices.places.keys()) void this.meet(slice);
  }

  async meet(slice) {
    const { frame_of_reference: frame } = this.viewer.slices.places.get(slice);
    if (!frame || frame === this.box.dataset.frame || this.frames.has(frame) || this.frames.size >= MOST_FRAMES) return;
    this.frames.add(frame);
    if (this.isDue) return;
    this.isDue = true;
    await this.asked;
    await new Promise((go) => setTimeout(go, AGAIN));
    this.isDue = false;
    this.asked = this.ask();
  }

  async ask() {
    const also = new URLSearchParams([...this.frames].map((frame) => ["frame", frame]));
    if (this.set) also.append("set", this.set);
    for (const name of this.whole) also.append("all", name);
    try {
      this.take(await (await answerOf(`${this.box.dataset.url}&${also}`)).json());
    } catch (error) {
      if (!(error instanceof Refused || error instanceof TypeError)) throw error;
      this.fail(error instanceof Refused ? error.message : "The connection broke off: reload the page.");
    }
  }

  fail(words) {
    const state = this.box.querySelector("[data-over=state]");
    state.textContent = words;
    this.box.hidden = state.hidden = false;
    if (!this.sources) this.panel.hidden = true;
  }

  // What was offered stays: it may be chosen.
  take(over) {
    this.box.querySelector("[data-over=state]").hidden = true;
    for (const [name, before] of Object.entries(this.lists)) this.lists[name] = joined(over[name], before);
    const { structure_sets: sets, doses, segmentations, series } = this.lists;
    offerOthers(this.viewer, series, over.more.series);
    this.sources ??= this.made();
    this.panel.hidden = !(this.sources.structures || segmentations.length);
    const isNowhere = !this.box.dataset.frame && ![...sets, ...segmentations].length;
    this.box.hidden = (this.panel.hidden || isNowhere) && !doses.length;
    this.sources.segments.offer(segmentations);
    this.sources.doses.offer(doses);
    this.sources.structures?.offer(sets);
    for (const [name, choice] of Object.entries(this.sources.choices)) this.sayMore(name, choice, over.more[name]);
  }

  // How many of a list are left out.
  sayMore(name, choice, more) {
    const line = choice.part("unlisted");
    line.hidden = !more;
    line.firstElementChild.textContent = `${more} more ${LONG[name]}${more === 1 ? " is" : "s are"} not listed here.`;
    line.lastElementChild.hidden = this.whole.has(name);
  }

  async listAll(name, choice) {
    const line = choice.part("unlisted");
    this.whole.add(name);
    line.lastElementChild.disabled = true;
    this.asked = this.ask();
    await this.asked;
    line.lastElementChild.disabled = false;
    if (line.hidden) choice.part("chosen").focus();
  }

  made() {
    const { viewer, box } = this;
    const { changes } = box.dataset;
    const [sets, masks, dose] = ["sets", "masks", "dose"].map((name) => box.querySelector(`.over-${name}`));
    const list = new List(viewer, this.panel);
    const structures = sets && new Structures(viewer, list, sets, changes); // not for everybody
    const segments = new Segments(viewer, list, masks, changes);
    const doses = new Doses(viewer, dose);
    // Layers, those below first.
    for (const layer of [segments.layer, doses, structures?.layer]) if (layer) viewer.addLayer(layer);
    const choices = { doses: doses.choice, segmentations: segments.choice };
    if (structures) choices.structure_sets = structures.choice;
    for (const [name, choice] of Object.entries(choices)) {
      choice.part("unlisted").lastElementChild.addEventListener("click", () => this.listAll(name, choice));
    }
    return { structures, segments, doses, choices };
  }
}

function joined(found, before) {
  const urls = new Set(found.map(({ url }) => url));
  return [...found, ...before.filter(({ url }) => !urls.has(url))];
}
