// The picture on a series' page, and what else of the page leads to its slices.
import { measureBanner } from "../shared/banner.js";
import { offerOver } from "./over.js";
import { Planes } from "./planes.js";
import { Viewer } from "./viewer.js";

export const viewer = new Viewer(document.getElementById("viewer"), { strip: document.getElementById("strip") });
export const planes = new Planes(viewer);

const isToOpenATab = (event) => event.ctrlKey || event.metaKey || event.shiftKey;

function goBy(event, go) {
  event.preventDefault();
  go();
  comeIntoView();
}

function comeIntoView() {
  viewer.stages[0].element.scrollIntoView({ block: "nearest" });
}

function markRows() {
  const object = viewer.slices.objects.get(viewer.shown);
  for (const row of document.querySelectorAll("#objects [data-object]")) {
    row.classList.toggle("is-shown", Number(row.dataset.object) === object);
  }
}

viewer.addEventListener("shown", markRows);
viewer.addEventListener("arrived", ({ detail }) => detail.slice === viewer.shown && markRows());

viewer.addEventListener("clinical", ({ detail }) => {
  document.getElementById("clinical").hidden = !detail;
});

// A click on a row of the objects selects its slice; with a key that opens a tab, as other rows do.
document.getElementById("objects")?.addEventListener("click", (event) => {
  const row = event.target.closest("[data-object]");
  if (!row || event.target.closest("a, button") || getSelection().toString()) return;
  if (!isToOpenATab(event)) goBy(event, () => viewer.goToObject(Number(row.dataset.object)));
});

// What is said of a series leads to the slice that it is said of.
document.querySelector(".told")?.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (!link || isToOpenATab(event)) return;
  const address = new URLSearchParams(link.search);
  const [object, frame] = ["at", "frame"].map((name) => Number(address.get(name)));
  const mark = viewer.stacks.marks.find((one) => one.object === object && one.frame === frame);
  if (mark) goBy(event, () => viewer.goTo(mark.slice));
});

// A name beside the picture leads to a slice of it, which may lie far above.
document.getElementById("over")?.addEventListener("click", ({ target }) => {
  if (!target.closest(".over-name")) return;
  const { top, bottom } = viewer.stages[0].canvas.getBoundingClientRect();
  const middle = (top + bottom) / 2;
  if (middle < 0 || middle > innerHeight) comeIntoView();
});

measureBanner();
offerOver(viewer, document.getElementById("over"));
