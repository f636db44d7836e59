// What can be drawn over a series' pictures: asked for once, and offered in the box beside them.
import { Doses } from "./doses.js";
import { Masks } from "./masks.js";
import { offerOthers } from "./others.js";
import { Refused, answerOf } from "./records.js";
import { Structures } from "./structures.js";

// `box` is the page's #over; null where the page has none.
export async function offerOver(viewer, box) {
  if (!box) return;
  const state = box.querySelector("[data-over=state]");
  const panel = box.querySelector(".over-structures"); // not for everybody
  try {
    const over = await (await answerOf(box.dataset.url)).json();
    const { structure_sets: sets, doses, segmentations } = over;
    offerOthers(viewer, over.series, over.more.series);
    if (segmentations.length) {
      new Masks(viewer, box.querySelector(".over-masks"), segmentations, box.dataset.changes);
    }
    if (doses.length) new Doses(viewer, box.querySelector(".over-dose"), doses);
    box.hidden = !(panel || doses.length || segmentations.length);
    if (panel) new Structures(viewer, panel, sets, over.more.structure_sets, box.dataset.changes);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError)) throw error;
    const isRefused = error instanceof Refused;
    state.textContent = isRefused ? error.message : "The connection broke off: reload the page.";
    box.hidden = state.hidden = false;
    if (panel) panel.hidden = true;
  }
}
