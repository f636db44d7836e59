// What can be drawn over a series' pictures: asked for once, and offered in the box beside them.
import { Doses } from "./doses.js";
import { List } from "./list.js";
import { offerOthers } from "./others.js";
import { Refused, answerOf } from "./records.js";
import { Segments } from "./segments.js";
import { Structures } from "./structures.js";

// `box` is the page's #over; null where the page has none.
export async function offerOver(viewer, box) {
  if (!box) return;
  const state = box.querySelector("[data-over=state]");
  const sets = box.querySelector(".over-sets"); // not for everybody
  const panel = box.querySelector(".over-structures");
  try {
    const over = await (await answerOf(box.dataset.url)).json();
    const { structure_sets, doses, segmentations, more } = over;
    offerOthers(viewer, over.series, more.series);
    const { changes } = box.dataset;
    panel.hidden = !(sets || segmentations.length);
    box.hidden = panel.hidden && !doses.length;
    const list = new List(viewer, panel);
    const structures = sets && new Structures(viewer, list, sets, { sets: structure_sets, more: more.structure_sets, changes });
    // Layers, those below first.
    if (segmentations.length) {
      const masks = box.querySelector(".over-masks");
      viewer.addLayer(new Segments(viewer, list, masks, { segmentations, changes }).layer);
    }
    if (doses.length) new Doses(viewer, box.querySelector(".over-dose"), doses);
    if (structures) viewer.addLayer(structures.layer);
  } catch (error) {
    if (!(error instanceof Refused || error instanceof TypeError)) throw error;
    const isRefused = error instanceof Refused;
    state.textContent = isRefused ? error.message : "The connection broke off: reload the page.";
    box.hidden = state.hidden = false;
    panel.hidden = true;
  }
}
