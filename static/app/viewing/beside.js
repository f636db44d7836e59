// The page of two series side by side: a viewer of each that has pictures, and what links the two.
import { Link } from "./link.js";
import { addressOf } from "./others.js";
import { Viewer } from "./viewer.js";

export const viewers = [...document.querySelectorAll(".viewer")].map((box) => new Viewer(box));

// Links to a series' page lead to the slice that is shown here.
for (const link of document.querySelectorAll(".beside-one h2 a, .up a")) {
  const [path] = link.href.split("?");
  const viewer = viewers.find(({ box }) => path.endsWith(`/series/${box.dataset.series}/`));
  const lead = () => {
    link.href = addressOf(path, viewer?.current);
  };
  for (const type of ["click", "auxclick"]) link.addEventListener(type, lead);
}

const sides = document.querySelectorAll("[data-link=away]");
if (viewers.length === 2) new Link(viewers, document.getElementById("link"), sides);
