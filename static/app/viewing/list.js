// The list beside a picture of what can be drawn over it: rows of several sources, one source after
// the other, which are found, switched, marked and gone through alike. How they are drawn, and what
// they are, their sources know:
//
// `layer`: {hidden (the places of rows that are switched off), isHidden (all of them are), opacity,
// marked (the place of a row; null for none), at(stage, point) which gives {at, area} or null,
// redraw()}, saidOf(at) which gives sentences, isAmiss(at) whether they warn, middleOf(at) a slice or
// null, centreOf(at, slice) a point of the patient or null, and where there is anything to it
// haveMarked().
//
// It is a layer itself, for its keys.
const SVG = "http://www.w3.org/2000/svg";
const STILL = 4; // of the page's pixels, that a click may move

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

export class List {
  constructor(viewer, box) {
    this.viewer = viewer;
    this.box = box;
    this.sources = new Map(); // with their rows, by their places
    this.marked = null; // a row
    this.pointed = null;
    this.isHidden = false;
    this.keys = {
      c: () => this.hide(!this.isHidden),
      n: () => this.step(1),
      p: () => this.step(-1),
    };
    this.listen();
    viewer.addLayer(this);
  }

  part(name) {
    return this.box.querySelector(`[data-over=${name}]`);
  }

  get rows() {
    return [...this.sources.values()].flat();
  }

  // --- rows ---------------------------------------------------------------------------------------

  // Its rows come after those of the sources before it.
  add(source) {
    this.sources.set(source, []);
  }

  // What a source has: {name, kind, colour (null for none), isEmpty, also (what it is found by)}.
  put(source, all) {
    if (this.marked?.source === source) this.mark(null);
    this.sources.set(source, all.map((one, at) => ({ source, at, isEmpty: one.isEmpty, ...rowOf(one) })));
    source.layer.hidden.clear();
    const empty = (isEmpty) => (row) => row.isEmpty === isEmpty;
    const inOrder = [...this.sources.values()].flatMap((rows) => [...rows.filter(empty(false)), ...rows.filter(empty(true))]);
    this.part("list").replaceChildren(...inOrder.map(({ item }) => item));
    this.part("shown").hidden = !inOrder.length;
    this.search();
    this.tell(source);
  }

  // What is not drawn of a source's rows.
  tell(source) {
    for (const { at, notes } of this.sources.get(source)) {
      const said = source.saidOf(at);
      notes.classList.toggle("is-amiss", source.isAmiss(at));
      if (notes.textContent !== said.join("")) notes.replaceChildren(...said.map(noteOf));
    }
  }

  search() {
    const words = folded(this.part("search").value).split(/\s+/).filter(Boolean);
    const { rows } = this;
    for (const { item, text } of rows) item.hidden = !words.every((word) => text.includes(word));
    const count = rows.filter(({ item }) => !item.hidden).length;
    this.part("found").textContent = words.length ? `${count} of ${rows.length} structures` : "";
    this.part("none-found").hidden = count > 0;
  }

  // The rows that lead somewhere and are shown, in order.
  get leading() {
    return this.rows.filter(({ isEmpty, item }) => !isEmpty && !item.hidden);
  }

  rowAt(element) {
    const item = element.closest("li");
    return item && this.rows.find((row) => row.item === item);
  }

  // --- switched -----------------------------------------------------------------------------------

  redraw() {
    for (const { layer } of this.sources.keys()) layer.redraw();
  }

  switchTo(isOn) {
    for (const row of this.rows) switchRow(row, isOn(row));
    this.redraw();
  }

  only(row) {
    this.hide(false);
    this.switchTo((one) => one === row);
    this.mark(row);
  }

  hide(isHidden) {
    this.isHidden = isHidden;
    for (const { layer } of this.sources.keys()) layer.isHidden = isHidden;
    this.part("hide").setAttribute("aria-pressed", isHidden);
    this.redraw();
  }

  fill(opacity) {
    for (const { layer } of this.sources.keys()) layer.opacity = opacity;
    this.redraw();
  }

  // --- marked -------------------------------------------------------------------------------------

  mark(marked) {
    this.marked = marked;
    for (const row of this.rows) {
      row.item.classList.toggle("is-marked", row === marked);
      if (row === marked) row.name.setAttribute("aria-current", "true");
      else row.name.removeAttribute("aria-current");
    }
    if (marked) within(this.part("list"), marked.item);
    for (const source of this.sources.keys()) {
      source.layer.marked = marked?.source === source ? marked.at : null;
      source.haveMarked?.();
    }
    this.redraw();
  }

  // Marks a row, and shows the middle of its slices, and what crosses it there.
  goTo(row) {
    const { source, at } = row;
    const middle = source.middleOf(at);
    this.mark(row);
    if (middle === null) return;
    this.viewer.goTo(middle);
    const centre = source.centreOf(at, middle);
    if (centre) this.viewer.tell("sought", centre);
  }

  // Marks the row of that place of a source.
  goToPlace(source, at) {
    this.goTo(this.sources.get(source)[at]);
  }

  step(by) {
    const rows = this.leading;
    if (!rows.length) return;
    const now = rows.indexOf(this.marked);
    const next = now < 0 ? (by > 0 ? 0 : rows.length - 1) : (now + by + rows.length) % rows.length;
    this.goTo(rows[next]);
  }

  // The row of what lies at a place of a stage, the smallest; null for none.
  at(stage, point) {
    let smallest = null;
    for (const [{ layer }, rows] of this.sources) {
      const found = layer.at(stage, point);
      if (found && !(smallest?.area <= found.area)) smallest = { area: found.area, row: rows[found.at] };
    }
    return smallest?.row ?? null;
  }

  // --- what is done to it -------------------------------------------------------------------------

  listen() {
    const on = (name, type, done) => this.part(name).addEventListener(type, done);
    on("search", "input", () => this.search());
    on("search", "keydown", (event) => this.searched(event));
    on("all", "click", () => this.switchTo(() => true));
    on("nothing", "click", () => this.switchTo(() => false));
    on("hide", "click", () => this.hide(!this.isHidden));
    on("opacity", "input", ({ target }) => this.fill(target.valueAsNumber / 100));
    on("list", "change", ({ target }) => this.switched(target));
    on("list", "keydown", (event) => this.walk(event));
    on("list", "click", ({ target }) => this.clicked(target.closest("button")));
    this.viewer.addEventListener("pointed", ({ detail }) => this.point(detail));
    this.viewer.box.addEventListener("pointerdown", (event) => {
      this.down = event.button === 0 ? [event.clientX, event.clientY] : null;
    });
    this.viewer.box.addEventListener("click", (event) => this.pick(event));
  }

  draw() {} // nothing of its own

  // Whether a key was meant for it.
  pressed(stage, key) {
    if (!this.rows.length || !this.keys[key]) return false;
    this.keys[key]();
    return true;
  }

  searched(event) {
    if (event.key === "Escape") {
      this.part("search").value = "";
      this.search();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      this.leading[0]?.name.focus();
    }
  }

  walk(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const rows = this.leading;
    const at = rows.findIndex(({ name }) => name === event.target);
    if (!by || at < 0) return;
    event.preventDefault();
    rows[at + by]?.name.focus();
  }

  switched(target) {
    const row = this.rowAt(target);
    switchRow(row, target.checked);
    row.source.layer.redraw();
  }

  clicked(button) {
    if (!button) return;
    const row = this.rowAt(button);
    if (button.dataset.does === "only") this.only(row);
    else this.goTo(row);
  }

  point(pointed) {
    const row = pointed && this.at(pointed.stage, pointed.point);
    if (row === this.pointed) return;
    this.pointed?.item.classList.remove("is-pointed");
    row?.item.classList.add("is-pointed");
    this.pointed = row;
  }

  pick(event) {
    const stage = this.viewer.stages.find(({ canvas }) => canvas === event.target);
    if (!stage || !this.down) return;
    const [x, y] = this.down;
    if (Math.hypot(event.clientX - x, event.clientY - y) > STILL) return;
    const point = stage.pointAt(stage.onCanvas(event));
    const row = point && this.at(stage, point);
    if (row) this.mark(row);
  }
}

// --- a row ----------------------------------------------------------------------------------------

function rowOf({ name: words, kind, colour, isEmpty, also }) {
  const item = made("li", isEmpty ? "is-empty" : "");
  const name = made("button", "over-name", { type: "button", disabled: isEmpty });
  name.append(swatchOf(colour), made("bdi", "", { textContent: words }));
  const type = made("span", "over-type", { textContent: kind });
  const notes = made("div", "over-notes");
  const found = { item, name, notes, box: null, text: folded(`${words} ${kind} ${also}`) };
  if (isEmpty) {
    item.append(made("span", "over-switch"), name, type, notes);
    return found;
  }
  name.title = "Go to its middle slice";
  const box = made("input", "form-check-input", { type: "checkbox", checked: true, autocomplete: "off" });
  box.setAttribute("aria-label", `Show ${words}`);
  const holder = made("label", "over-switch");
  holder.append(box);
  const only = made("button", "btn btn-outline-secondary btn-sm", { type: "button", textContent: "Only" });
  only.dataset.does = "only";
  only.setAttribute("aria-label", `Only ${words}`);
  item.append(holder, name, type, only, notes);
  return { ...found, box };
}

function switchRow({ source, at, box }, isOn) {
  if (isOn) source.layer.hidden.delete(at);
  else source.layer.hidden.add(at);
  if (box) box.checked = isOn;
}

function swatchOf(colour) {
  const swatch = document.createElementNS(SVG, "svg");
  const attributes = { class: "swatch", width: 14, height: 14, "aria-hidden": true, focusable: false };
  for (const [key, value] of Object.entries(attributes)) swatch.setAttribute(key, value);
  const rect = document.createElementNS(SVG, "rect");
  const place = { x: 0.5, y: 0.5, width: 13, height: 13, rx: 3 };
  for (const [key, value] of Object.entries(place)) rect.setAttribute(key, value);
  if (colour) rect.setAttribute("fill", `rgb(${colour})`);
  else rect.classList.add("swatch-none");
  swatch.append(rect);
  return swatch;
}

// A sentence on what is not drawn.
export const noteOf = (words) => made("p", "", { textContent: words });

function made(tag, className, properties = {}) {
  return Object.assign(document.createElement(tag), { className, ...properties });
}

// Scrolls a box, and not its page.
function within(box, row) {
  const [top, bottom] = [row.offsetTop, row.offsetTop + row.offsetHeight]; // in the box, which is positioned
  if (top < box.scrollTop) box.scrollTop = top;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}
