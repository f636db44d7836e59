// The page of two series side by side: a viewer of each that has pictures, and what links the two.
import { Link } from "./link.js";
import { Viewer } from "./viewer.js";

export const viewers = [...document.querySelectorAll(".viewer")].map((box) => new Viewer(box));
const sides = document.querySelectorAll("[data-link=away]");
if (viewers.length === 2) new Link(viewers, document.getElementById("link"), sides);
