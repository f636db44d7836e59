// One picture's place: the canvas that a slice is painted on, what lies over it, its letters and its
// scale. What it shows is a slice of a series, or a plane that has been cut through some.
import { everyNth, lay, paint } from "./greys.js";
import { planeOf } from "./space.js";
import { View } from "./view.js";
import { edges, pixelSize, ruler } from "./words.js";

const EDGES = ["left", "right", "top", "bottom"];
const BESIDE = 6; // of the page's pixels, from a place to words at it
const SVG = "http://www.w3.org/2000/svg";

export class Stage {
  // `element` is a .viewer-stage; `changed` is called when its size has changed.
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    this.canvas = this.part("canvas");
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.source = document.createElement("canvas"); // the picture itself, a pixel a pixel
    this.view = new View(this.canvas);
    this.over = this.part("over"); // for washes: hidden while nobody draws any
    this.lines = this.part("lines"); // an <svg>, of which a unit is a pixel of the picture
    this.groups = new Map(); // of `lines`, by layer
    this.grounds = new Map(); // below all of these
    this.hasDose = false; // whether a dose's colours lie over it
    this.labels = new Map(); // words that lie over the picture, by layer, and where
    this.slice = null; // what is painted; null where there is nothing
    this.plane = null; // where it lies in its patient; null where that is not known
    this.number = null; // of the series' slice; null of a plane that has been cut
    this.isNew = false; // layers have not drawn for it yet
    this.painted = {}; // what is in `source`
    this.thin = {};
    this.walk = null; // {at, first, last, to(number)}: what is gone through
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.canvas);
    this.ended = new AbortController();
    const { signal } = this.ended;
    window.addEventListener("resize", () => this.resize(), { signal }); // or the pixels' size alone
  }

  part(name) {
    return this.element.querySelector(`[data-part=${name}]`);
  }

  // Nothing more is shown on it.
  end() {
    this.observer.disconnect();
    this.ended.abort();
  }

  resize() {
    const side = Math.round(this.canvas.clientWidth * (window.devicePixelRatio || 1));
    if (this.canvas.width === side) return;
    [this.canvas.width, this.canvas.height] = [side, side];
    this.changed();
  }

  // What is painted from the next frame on; null leaves what is there, without what lay over it.
  show(slice, number = null) {
    this.number = number;
    if (slice === this.slice) return;
    [this.slice, this.isNew] = [slice, true];
    this.plane = slice && planeOf(slice);
  }

  // Of the canvas's pixels, how many are one of the page's.
  get dense() {
    return this.canvas.width / this.canvas.clientWidth;
  }

  // --- painting ---------------------------------------------------------------------------------

  // `key` tells one window from another; a picture that `isHurried` has no more than there is room for.
  paint({ window, key, isInverted, hasOverlays, isHurried }) {
    const { context, view, canvas } = this;
    const slice = this.thinned(isHurried);
    const { told, rendering } = slice;
    this.fill(slice, JSON.stringify([key, isInverted, hasOverlays]), (pixels) => {
      paint(pixels, slice, rendering, window, isInverted);
      if (hasOverlays) for (const overlay of slice.overlays) lay(pixels, overlay);
    });
    view.show(told.whole_columns, told.whole_rows, pixelSize(rendering));
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = told.step > 1 || (view.scale !== 1 && view.scale < 4);
    context.imageSmoothingQuality = view.scale < 1 ? "medium" : "low";
    context.drawImage(this.source, ...view.boxOf(told));
    this.drawRound(this.slice);
  }

  fill(slice, key, painted) {
    if (this.painted.slice === slice && this.painted.key === key) return;
    const { source } = this;
    const { columns, rows } = slice.told;
    [source.width, source.height] = [columns, rows];
    const brush = source.getContext("2d", { alpha: false });
    const pixels = brush.createImageData(columns, rows);
    painted(pixels);
    brush.putImageData(pixels, 0, 0);
    this.painted = { slice, key, number: this.number };
  }

  thinned(isHurried) {
    const { slice, view } = this;
    const every = isHurried && view.columns ? Math.floor(1 / view.scale) : 1;
    if (every < 2 || slice.told.step > 1) {
      this.thin = {};
      return slice;
    }
    if (this.thin.of !== slice || this.thin.every !== every) {
      this.thin = { of: slice, every, slice: { ...slice, ...everyNth(slice, every) } };
    }
    return this.thin.slice;
  }

  clear() {
    this.painted = { number: this.number };
    this.context.fillStyle = "#000";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawRound(null);
  }

  // What is written at the edges, the scale {text, right, bottom, length}, null for none, and the name
  // of what is shown beside others.
  get round() {
    const [scale, name] = [this.part("scale"), this.part("name")];
    const { right, bottom, width } = scale.style;
    const [end, low, length] = [right, bottom, width].map(parseFloat);
    return {
      edges: Object.fromEntries(EDGES.map((edge) => [edge, this.part(edge).textContent])),
      scale: scale.hidden ? null : { text: scale.textContent, right: end, bottom: low, length },
      name: name.hidden ? "" : name.textContent,
    };
  }

  drawRound(slice) {
    const letters = slice && edges(slice.told.place);
    for (const edge of EDGES) this.part(edge).textContent = letters?.[edge] ?? "";
    const { canvas } = this;
    const scale = slice && ruler(slice, this.box, canvas.clientWidth);
    const drawn = this.part("scale");
    drawn.hidden = !scale;
    if (!scale) return;
    drawn.textContent = scale.text;
    for (const name of ["right", "bottom", "width"]) drawn.style[name] = `${scale[name]}px`;
  }

  // --- what lies over it ------------------------------------------------------------------------

  // Lays it where the picture lies; layers draw where the picture is another, or one has changed.
  cover(layers, haveChanged) {
    if (!layers.length) return;
    const { slice, lines, over } = this;
    lines.toggleAttribute("hidden", !slice);
    for (const { element } of this.labels.values()) element.hidden = !slice || !element.textContent;
    if (!slice) over.hidden = true;
    else {
      if (this.isNew || haveChanged) this.drawOver(layers, slice.told);
      for (const layer of layers) layer.lie?.(this);
      this.place(lines, over);
    }
  }

  drawOver(layers, { whole_columns: columns, whole_rows: rows }) {
    this.over.hidden = true;
    const box = `0 0 ${columns} ${rows}`;
    if (this.lines.getAttribute("viewBox") !== box) this.lines.setAttribute("viewBox", box);
    for (const layer of layers) this.group(layer);
    for (const layer of layers) layer.draw(this);
  }

  // A layer's own part of `lines`.
  group(layer) {
    if (!this.groups.has(layer)) {
      const made = document.createElementNS(SVG, "g");
      this.groups.set(layer, made);
      this.lines.append(made);
    }
    return this.groups.get(layer);
  }

  // A part of its own that lies below all layers' lines.
  ground(layer) {
    if (!this.grounds.has(layer)) {
      const made = document.createElementNS(SVG, "g");
      this.grounds.set(layer, made);
      this.lines.prepend(made);
    }
    return this.grounds.get(layer);
  }

  leave(layer) {
    this.grounds.get(layer)?.remove();
    this.grounds.delete(layer);
    this.groups.get(layer)?.remove();
    this.groups.delete(layer);
    this.labels.get(layer)?.element.remove();
    this.labels.delete(layer);
  }

  // A layer's words beside a place, or in the middle of it, in units of `lines`; "" for none. A layer
  // has several by other keys than itself.
  label(layer, words, at, isCentred = false) {
    if (!this.labels.has(layer)) {
      const element = document.createElement("span");
      element.className = isCentred ? "viewer-label is-centred" : "viewer-label";
      element.hidden = true;
      this.element.append(element);
      this.labels.set(layer, { element, at: [0, 0], isCentred });
    }
    const label = this.labels.get(layer);
    if (words !== undefined && label.element.textContent !== words) label.element.textContent = words;
    if (at) label.at = at;
    label.element.hidden = !label.element.textContent;
    return label.element;
  }

  // What a layer draws washes with: empty when the first asks for it, of the picture's size.
  wash() {
    const { over, slice } = this;
    const { whole_columns: columns, whole_rows: rows } = slice.told;
    const brush = over.getContext("2d");
    if (!over.hidden) return brush;
    over.hidden = false;
    if (over.width === columns && over.height === rows) brush.clearRect(0, 0, columns, rows);
    else [over.width, over.height] = [columns, rows];
    return brush;
  }

  // Where the picture lies, in the page's pixels.
  get box() {
    return this.view.box.map((one) => one / this.dense);
  }

  place(...all) {
    const [left, top, width, height] = this.box;
    for (const one of all) move(one, { left, top, width, height });
    const { whole_columns: columns, whole_rows: rows } = this.slice.told;
    for (const { element, at: [x, y], isCentred } of this.labels.values()) {
      if (element.hidden) continue;
      const [across, down] = [left + (x / columns) * width, top + (y / rows) * height];
      if (isCentred) move(element, { left: across, top: down });
      else {
        const most = this.element.clientWidth - element.offsetWidth - BESIDE;
        move(element, { left: Math.min(across + BESIDE, most), top: down });
      }
    }
  }

  // --- under the pointer ------------------------------------------------------------------------

  // Where on the canvas, in its pixels.
  onCanvas({ clientX, clientY }) {
    const { left, top, width } = this.canvas.getBoundingClientRect();
    const dense = this.canvas.width / width;
    return [(clientX - left) * dense, (clientY - top) * dense];
  }

  // The column and the row there, as `space.js` counts; null where no picture is.
  pointAt(at) {
    return this.slice && this.view.pixelAt(...at) ? this.pointOn(at) : null;
  }

  // Also beside the picture.
  pointOn([x, y]) {
    const [left, top, width, height] = this.view.box;
    const { whole_columns: columns, whole_rows: rows } = this.slice.told;
    return [((x - left) / width) * columns - 0.5, ((y - top) / height) * rows - 0.5];
  }
}

function move(element, places) {
  for (const [name, value] of Object.entries(places)) {
    const length = `${value}px`;
    if (element.style[name] !== length) element.style[name] = length;
  }
}
