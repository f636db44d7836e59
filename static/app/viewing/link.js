// Two series' pictures that are moved together: by where they lie in the patient, slice by slice, and
// only within one frame of reference.
import { pixelOf, planeOf, pointOf } from "./space.js";

const SAME = 0.01; // mm: slices that lie so near to each other lie in one place
const PARALLEL = 0.999; // the cosine between two normals
const WORDS = {
  place: "It is not known where these pictures lie in the patient: each is moved by itself.",
  frame: "They do not share a frame of reference: each is moved by itself.",
};
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const NO_SLICE = "No slice here";

export class Link {
  // `bar` has the switch and the words beside it; `sides` have a line for each viewer.
  constructor(viewers, bar, sides) {
    this.viewers = viewers;
    this.leader = viewers[0];
    this.toggle = bar.querySelector("[data-link=switch]");
    this.words = bar.querySelector("[data-link=words]");
    this.sides = new Map(viewers.map((viewer, at) => [viewer, sides[at]]));
    this.planes = new Map(viewers.map((viewer) => [viewer, new Map()])); // by slice
    this.isWanted = true;
    this.isFollowing = false;
    this.isDue = false;
    this.toggle.addEventListener("change", () => {
      this.isWanted = this.toggle.checked;
      this.follow();
    });
    for (const viewer of viewers) this.listen(viewer);
    this.later();
  }

  listen(viewer) {
    viewer.addLayer(new Crossing(this.other(viewer)));
    viewer.addEventListener("shown", () => {
      if (this.isFollowing) return;
      this.leader = viewer;
      this.follow();
    });
    viewer.addEventListener("arrived", () => this.later());
    viewer.addEventListener("came", ({ detail }) => {
      if (viewer === this.leader && detail.told.slice === viewer.shown) this.later();
    });
    viewer.addEventListener("painted", () => this.other(viewer).redraw());
  }

  other(viewer) {
    return this.viewers.find((one) => one !== viewer);
  }

  later() {
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.follow();
    });
  }

  follow() {
    const { leader } = this;
    const follower = this.other(leader);
    const lying = this.found(leader, follower);
    const found = this.isWanted || WORDS[lying.why] ? lying : {};
    this.words.textContent = WORDS[found.why] ?? "";
    this.toggle.disabled = Boolean(WORDS[found.why]);
    this.toggle.checked = this.isWanted && !this.toggle.disabled;
    for (const viewer of this.viewers) this.sayAway(viewer, viewer === follower && found.why === "none");
    if (found.slice === undefined || found.slice === follower.shown) return;
    this.isFollowing = true;
    follower.show(found.slice);
    this.isFollowing = false;
  }

  sayAway(viewer, isAway) {
    const said = this.sides.get(viewer);
    const text = isAway ? NO_SLICE : "";
    if (said.textContent !== text) said.textContent = text;
    viewer.box.classList.toggle("is-away", isAway);
  }

  // The slice of one viewer that lies where the other's does; else why there is none.
  found(leader, follower) {
    const slice = leader.current;
    if (!slice) return { why: "loading" };
    const plane = slice.rendering && planeOf(slice);
    if (!plane?.frame) return { why: "place" };
    const middle = pointOf(plane, [(plane.columns - 1) / 2, (plane.rows - 1) / 2]);
    const { first, last, count } = follower.stack;
    const here = [];
    for (let number = first; number <= last; number++) {
      const one = this.planeAt(follower, number);
      if (one !== undefined) here.push({ slice: number, plane: one });
    }
    const found = nearest(here, plane.frame, middle, follower);
    return found.why && here.length < count ? { why: "loading" } : found;
  }

  // Of a slice that has arrived; null where it is not known where that lies.
  planeAt(viewer, slice) {
    const planes = this.planes.get(viewer);
    const place = viewer.slices.places.get(slice);
    if (!planes.has(slice) && place) planes.set(slice, flatPlane(place));
    return planes.get(slice);
  }
}

// A plane of which only is asked how far something lies from it.
function flatPlane(place) {
  const told = { place, whole_rows: 1, whole_columns: 1 };
  const plane = planeOf({ told, rendering: { spacing: [1, 1], spacing_kind: "patient" } });
  return plane && { ...plane, thickness: place.thickness };
}

// Of slices {slice, plane} that have come of a stack, the one whose plane is nearest to a point, where
// it is not further than half of what it is thick, or of what the next of the stack lies from it.
export function nearest(slices, frame, point, { shown, stack }) {
  const inFrame = slices.filter(({ plane }) => plane?.frame === frame);
  if (!inFrame.length) return { why: "frame" };
  const lying = inFrame.map(({ slice, plane }) => ({ slice, plane, off: pixelOf(plane, point)[2] }));
  const away = ({ slice, off }) => Math.abs(off) + (slice === shown ? 0 : SAME / 2);
  const best = lying.reduce((one, other) => (away(other) < away(one) ? other : one));
  const isWithin = (length) => Math.abs(best.off) <= length / 2 + SAME;
  if (isWithin(best.plane.thickness)) return { slice: best.slice };
  if (!isBetweenKnown(best, slices, lying, stack)) return { why: "loading" };
  return isWithin(spacingAt(best, lying)) ? { slice: best.slice } : { why: "none" };
}

// Whether the next slices that do not lie where one lies have come, on both sides: else it is not
// known how near they are.
function isBetweenKnown({ slice, off }, slices, lying, { first, last }) {
  const known = new Set(slices.map((one) => one.slice));
  const there = new Set(lying.filter((one) => Math.abs(one.off - off) <= SAME).map((one) => one.slice));
  return [-1, 1].every((step) => {
    let next = slice;
    while (there.has(next)) next += step;
    return next < first || next > last || known.has(next);
  });
}

// How far the nearest slice lies that is parallel to one.
function spacingAt(one, lying) {
  const distances = lying
    .filter(({ plane: { normal } }) => Math.abs(dot(normal, one.plane.normal)) > PARALLEL)
    .map(({ off }) => Math.abs(off - one.off))
    .filter((distance) => distance > SAME);
  return distances.length ? Math.min(...distances) : 0;
}

// A line where the slice of another viewer cuts what a stage shows.
class Crossing {
  constructor(other) {
    this.other = other;
  }

  draw(stage) {
    const [{ plane, slice }] = this.other.stages;
    const isThere = slice && plane && plane.frame && plane.frame === stage.plane?.frame;
    const ends = isThere ? crossing(stage.plane, plane) : null;
    const group = stage.group(this);
    if (!ends) return group.replaceChildren();
    const line = group.firstChild ?? group.appendChild(document.createElementNS(group.namespaceURI, "path"));
    line.setAttribute("class", "viewer-crossing");
    line.setAttribute("d", `M${ends.map(([x, y]) => `${x + 0.5},${y + 0.5}`).join("L")}`);
  }
}

// Columns and rows of the two ends of what another plane's picture cuts; null where it does not, or
// is parallel.
export function crossing(plane, other) {
  if (Math.abs(dot(plane.normal, other.normal)) > PARALLEL) return null;
  const [right, bottom] = [other.columns - 0.5, other.rows - 0.5];
  const corners = [[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]];
  const at = corners.map((corner) => pixelOf(plane, pointOf(other, corner)));
  const ends = [];
  at.forEach((one, n) => {
    const next = at[(n + 1) % at.length];
    if (one[2] >= 0 === next[2] >= 0) return;
    const part = one[2] / (one[2] - next[2]);
    ends.push([one[0] + part * (next[0] - one[0]), one[1] + part * (next[1] - one[1])]);
  });
  return ends.length === 2 ? ends : null;
}
