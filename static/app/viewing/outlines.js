// The outlines of a set's ROIs over pictures: a layer of theirs, which has an SVG group in each stage.
import { pick } from "./shapes.js";

const SVG = "http://www.w3.org/2000/svg";
const NAMED = 6; // ROIs on a picture that is saved
const UNCOLOURED = "255, 255, 255"; // a ROI that has no colour
const ARM = 7; // of a cross, in the page's pixels
const DARK = 0.1; // relative luminance, below which a line has a light one under it

export class Outlines {
  // `redraw` is called where there is something else to be drawn.
  constructor(redraw) {
    this.redraw = redraw;
    this.set = null; // Contours
    this.hidden = new Set(); // ROIs that are switched off
    this.isHidden = false; // all of them
    this.opacity = 0; // of what is filled
    this.marked = null; // a ROI's place in its set
    this.drawn = new WeakMap(); // by stage: its ROIs' elements
    this.cuts = new WeakMap(); // by plane: what it cuts
    this.sizes = new ResizeObserver((all) => all.forEach(({ target }) => this.size(target)));
  }

  get isClinical() {
    return Boolean(this.set?.rois.length) && !this.isHidden;
  }

  // Draws a set; null draws none.
  show(set) {
    this.set = set;
    this.hidden.clear();
    this.marked = null;
    this.redraw();
  }

  // What is seen on a stage.
  shapes({ number, plane }) {
    if (!this.set || this.isHidden || !plane) return [];
    const all = number === null ? this.across(plane) : this.set.on(number);
    return all.filter(({ roi }) => !this.hidden.has(roi));
  }

  // It is asked for again with each move of the pointer.
  across(plane) {
    if (!this.cuts.has(plane) || this.cuts.get(plane).set !== this.set) {
      this.cuts.set(plane, { set: this.set, shapes: this.set.across(plane) });
    }
    return this.cuts.get(plane).shapes;
  }

  // The ROI at a place of a stage, as `space.js` counts: {at, area}; null for none.
  at(stage, [column, row]) {
    const { view, dense } = stage;
    const scale = [view.across, view.down].map((one) => (one * view.scale) / dense);
    const shape = pick(this.shapes(stage), [column + 0.5, row + 0.5], scale);
    return shape && { at: shape.roi, area: shape.area };
  }

  // The middle of what the marked ROI has on a slice, else on that in its own middle; null where nothing is.
  sought(number) {
    const roi = this.set?.rois[this.marked];
    if (!roi) return null;
    const middle = this.set.middleOf(roi, 0, Infinity);
    return middle === null ? null : (this.set.centreOf(roi, number) ?? this.set.centreOf(roi, middle));
  }

  told(stage, point) {
    const roi = this.at(stage, point);
    return roi ? nameOf(this.set.rois[roi.at]) : "";
  }

  // What is drawn on a stage: [words, colour] of each. Not the set's label, which may tell who somebody is.
  legend(stage) {
    const there = this.shapes(stage).map(({ roi }) => this.set.rois[roi]);
    const named = there.slice(0, NAMED).map((roi) => [nameOf(roi), coloured(roi)]);
    return there.length > NAMED ? [...named, [`and ${there.length - NAMED} more`]] : named;
  }

  // --- drawn --------------------------------------------------------------------------------------

  draw(stage) {
    const group = stage.group(this);
    if (this.drawn.get(stage)?.set !== this.set) {
      group.replaceChildren();
      this.drawn.set(stage, { set: this.set, rois: new Map() });
      this.sizes.observe(stage.lines);
    }
    const { rois } = this.drawn.get(stage);
    const shapes = this.shapes(stage);
    this.drawFills(stage, shapes);
    const there = new Map(shapes.map((shape) => [shape.roi, shape]));
    for (const [roi, element] of rois) if (!there.has(roi)) element.remove();
    let after = null;
    for (const [roi, shape] of there) {
      if (!rois.has(roi)) rois.set(roi, this.elementOf(roi));
      const element = rois.get(roi);
      this.fill(element, shape);
      if (element.parentNode !== group || element.previousSibling !== after) {
        if (after) after.after(element);
        else group.prepend(element);
      }
      after = element;
    }
    this.size(stage.lines);
  }

  // Below all lines, those of a dose among them; none where colours of a dose would be taken for others.
  drawFills(stage, shapes) {
    const group = stage.ground(this);
    const isFilled = ({ roi }) => this.set.rois[roi].type.toUpperCase() !== "EXTERNAL";
    const filled = this.opacity && !stage.hasDose ? shapes.filter(isFilled) : [];
    group.setAttribute("fill-opacity", this.opacity);
    if (group.shapes?.length === filled.length && filled.every((shape, at) => shape === group.shapes[at])) return;
    group.shapes = filled;
    group.replaceChildren(...filled.map((shape) => {
      const fill = made("path", "roi-solid");
      fill.setAttribute("fill", coloured(this.set.rois[shape.roi]));
      fill.setAttribute("d", shape.closed + shape.solid);
      return fill;
    }));
  }

  elementOf(roi) {
    const element = made("g");
    element.dataset.roi = roi;
    element.setAttribute("stroke", coloured(this.set.rois[roi]));
    element.halo = isDark(this.set.rois[roi]) ? made("path", "roi-halo") : null;
    for (const name of ["closed", "lines"]) element[name] = made("path", `roi-${name}`);
    return element;
  }

  fill(element, shape) {
    element.classList.toggle("roi-is-marked", shape.roi === this.marked);
    if (element.shape === shape) return;
    element.shape = shape;
    const { halo, closed, lines } = element;
    halo?.setAttribute("d", shape.closed + shape.lines);
    closed.setAttribute("d", shape.closed);
    lines.setAttribute("d", shape.lines);
    const crosses = shape.crosses.flatMap((at) => [...(halo ? [crossAt(at, "roi-halo")] : []), crossAt(at)]);
    const drawn = [halo, closed, lines].filter((one) => one?.getAttribute("d"));
    element.replaceChildren(...drawn, ...crosses, ...(shape.dots.length ? dotsAt(shape.dots, halo) : []));
  }

  // Crosses are as large on the screen whatever the picture's size.
  size(lines) {
    const crosses = lines.querySelectorAll(".roi-cross");
    if (!crosses.length) return;
    const { width, height } = lines.viewBox.baseVal;
    const box = lines.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const [across, down] = [(ARM * width) / box.width, (ARM * height) / box.height];
    for (const cross of crosses) {
      const [x, y] = [Number(cross.dataset.x), Number(cross.dataset.y)];
      cross.setAttribute("d", `M${x - across} ${y}H${x + across}M${x} ${y - down}V${y + down}`);
    }
  }
}

export const nameOf = ({ name, number }) => name || (number === null ? "(no name)" : `(no name), number ${number}`);

const coloured = ({ colour }) => `rgb(${colour ?? UNCOLOURED})`;

function isDark({ colour }) {
  const [red, green, blue] = (colour ?? [255, 255, 255]).map((one) => (one / 255) ** 2.2);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue < DARK;
}

function made(tag, classes = "") {
  const element = document.createElementNS(SVG, tag);
  if (classes) element.setAttribute("class", classes);
  return element;
}

// As one path: lines of nearly no length, whose ends are round.
function dotsAt(dots, halo) {
  const path = dots.map(({ words }) => `M${words}h.01`).join("");
  return [...(halo ? ["roi-dot roi-halo"] : []), "roi-dot"].map((classes) => {
    const drawn = made("path", classes);
    drawn.setAttribute("d", path);
    return drawn;
  });
}

function crossAt([x, y], also = "") {
  const cross = made("path", `roi-cross ${also}`.trim());
  [cross.dataset.x, cross.dataset.y] = [x, y];
  return cross;
}
