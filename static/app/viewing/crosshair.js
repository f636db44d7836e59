// A point of the patient, as a cross over every picture of a viewer: with a gap, where it lies.
import { pixelOf } from "./space.js";

const SVG = "http://www.w3.org/2000/svg";
const GAP = 0.04; // of a picture's larger side, on each side of the point

export class Crosshair {
  constructor() {
    this.point = null;
    this.isOn = true;
  }

  // A layer, as `viewer.js` has them.
  draw(stage) {
    const group = stage.group(this);
    const isDrawn = Boolean(this.isOn && this.point && stage.plane);
    group.toggleAttribute("hidden", !isDrawn);
    group.setAttribute("class", "viewer-crosshair");
    if (!group.firstChild) group.append(...[1, 2].map(() => document.createElementNS(SVG, "path")));
    const lines = isDrawn ? linesOf(stage.plane, this.point) : "";
    for (const path of group.children) path.setAttribute("d", lines);
  }
}

function linesOf(plane, point) {
  const { columns, rows, spacing } = plane;
  const [x, y] = pixelOf(plane, point).map((one) => one + 0.5);
  const gap = GAP * Math.max(columns * spacing[1], rows * spacing[0]);
  const [beside, above] = [gap / spacing[1], gap / spacing[0]];
  const across = `M0 ${y}H${Math.max(x - beside, 0)}M${Math.min(x + beside, columns)} ${y}H${columns}`;
  const down = `M${x} 0V${Math.max(y - above, 0)}M${x} ${Math.min(y + above, rows)}V${rows}`;
  return across + down;
}
