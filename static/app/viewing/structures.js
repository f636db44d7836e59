// The structures over a series' picture: which set, which of its ROIs, and what is said of them.
import { contoursOf } from "./contours.js";
import { Outlines, nameOf } from "./outlines.js";
import { Refused, answerOf, whyNot } from "./records.js";

const SVG = "http://www.w3.org/2000/svg";
const STILL = 4; // of the page's pixels, that a click may move
const SOON = 400; // ms after the last slice has come, what is not drawn is told again

const DAMAGED = "The contours came damaged: choose them again.";
const NONE_HERE = "No structure set refers to this series or shares its frame of reference.";

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

// The box beside a picture: `sets` are as the server offers them for this state of the series, `more`
// how many it has left out.
export class Structures {
  constructor(viewer, box, sets, more, changes) {
    this.viewer = viewer;
    this.box = box;
    this.sets = sets;
    this.more = more;
    this.changes = changes;
    this.layer = new Outlines(() => viewer.redraw(), {
      c: () => this.hide(!this.layer.isHidden),
      n: () => this.step(1),
      p: () => this.step(-1),
    });
    viewer.addLayer(this.layer);
    this.asked = new URLSearchParams(location.search);
    this.rows = []; // by the ROIs' places in their set
    this.abort = null; // what is loading
    this.listen();
    this.offer();
  }

  part(name) {
    return this.box.querySelector(`[data-over=${name}]`);
  }

  get set() {
    return this.layer.set;
  }

  offer() {
    const { sets } = this;
    this.part("choice").hidden = !sets.length;
    this.say(sets.length ? "" : NONE_HERE);
    const options = (wanted) => sets.filter(({ refers }) => refers === wanted).map((one) => new Option(one.words, one.object));
    const groups = [["Refer to this series", true], ["Share its frame of reference", false]];
    this.part("set").replaceChildren(new Option("None", ""), ...groups.flatMap(([label, wanted]) => {
      const made = Object.assign(document.createElement("optgroup"), { label });
      made.append(...options(wanted));
      return made.children.length ? [made] : [];
    }));
    if (this.more) this.say(`${this.more} more structure ${this.more === 1 ? "set is" : "sets are"} not listed.`);
    const asked = sets.find(({ object }) => String(object) === this.asked.get("set"));
    if (asked) this.choose(String(asked.object));
  }

  say(sentence, isPassing = false) {
    this.part("said").textContent = sentence;
    this.part("again").hidden = !isPassing;
    this.part("saying").hidden = !sentence;
  }

  // --- a set --------------------------------------------------------------------------------------

  choose(object) {
    this.part("set").value = object;
    this.abort?.abort();
    this.layer.show(null);
    this.part("list").replaceChildren();
    this.part("shown").hidden = true;
    this.say("");
    const chosen = this.sets.find((one) => String(one.object) === object);
    if (chosen) void this.fetch(chosen);
    else this.remember();
  }

  async fetch({ url, words }) {
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.say(`Loading ${words} …`);
    try {
      const answer = await answerOf(`${url}?changes=${this.changes}`, signal);
      const set = await contoursOf(await answer.arrayBuffer());
      if (signal.aborted) return;
      if (!set) throw new Refused(DAMAGED);
      this.say(set.words.why);
      this.begin(set);
    } catch (error) {
      if (signal.aborted) return;
      this.say(whyNot(error), error instanceof TypeError);
      if (!(error instanceof Refused || error instanceof TypeError)) throw error;
    }
  }

  begin(set) {
    for (const number of this.viewer.slices.places.keys()) this.tellOf(set, number);
    this.layer.show(set);
    this.part("shown").hidden = !set.rois.length;
    this.list();
    const asked = this.asked.get("roi");
    const marked = asked === null ? undefined : set.rois.find(({ number }) => String(number) === asked);
    this.asked = new URLSearchParams();
    if (marked) this.goTo(marked.at);
    this.remember();
  }

  // Where a slice lies.
  tellOf(set, number) {
    const { slices, stacks } = this.viewer;
    set.see(number, { ...slices.places.get(number), stack: stacks.all[stacks.at(number)] });
  }

  see(number) {
    if (!this.set) return;
    const { shown } = this.viewer;
    const before = this.set.halfOf(shown);
    this.tellOf(this.set, number);
    if (this.set.halfOf(shown) !== before) this.viewer.redraw();
    this.tellSoon();
  }

  // In the address: the set and the marked ROI.
  remember() {
    const url = new URL(location);
    const roi = this.set?.rois[this.layer.marked]?.number;
    const now = { set: this.part("set").value, roi: roi ?? "" };
    for (const [name, value] of Object.entries(now)) {
      if (value === "") url.searchParams.delete(name);
      else url.searchParams.set(name, value);
    }
    if (url.href !== location.href) history.replaceState(history.state, "", url);
  }

  // --- the list -----------------------------------------------------------------------------------

  list() {
    const { rois } = this.set;
    this.rows = rois.map((roi) => rowOf(roi));
    const inOrder = [...rois].sort((one, other) => Number(!one.contours.length) - Number(!other.contours.length));
    this.part("list").replaceChildren(...inOrder.map(({ at }) => this.rows[at].row));
    this.part("general").replaceChildren(...this.leftOut(null).map(noteOf));
    this.part("general").hidden = !this.part("general").children.length;
    this.search();
    this.tell();
  }

  // What the server could not read of a ROI.
  leftOut(number) {
    return (this.set.words.left_out ?? []).filter(({ roi }) => roi === number).map(({ words }) => words);
  }

  // What is not drawn; it is known when slices have come.
  tell() {
    for (const { roi, notes } of this.rows) {
      const said = [...this.leftOut(roi.number ?? undefined), ...this.set.saidOf(roi)];
      if (notes.textContent === said.join("")) continue;
      notes.replaceChildren(...said.map(noteOf));
    }
  }

  tellSoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.set && this.tell(), SOON);
  }

  search() {
    const words = folded(this.part("search").value).split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of this.rows) {
      row.hidden = !words.every((word) => text.includes(word));
      count += !row.hidden;
    }
    const all = this.rows.length;
    this.part("found").textContent = words.length ? `${count} of ${all} structures` : "";
    this.part("none-found").hidden = count > 0;
  }

  switchTo(isOn) {
    const { hidden } = this.layer;
    hidden.clear();
    for (const { roi, box } of this.rows) {
      if (!isOn(roi)) hidden.add(roi.at);
      if (box) box.checked = isOn(roi);
    }
    this.layer.redraw();
  }

  only(at) {
    this.hide(false);
    this.switchTo((roi) => roi.at === at);
    this.mark(at);
  }

  hide(isHidden) {
    this.layer.isHidden = isHidden;
    this.part("hide").setAttribute("aria-pressed", isHidden);
    this.layer.redraw();
  }

  mark(at) {
    this.layer.marked = at;
    for (const { roi, row, name } of this.rows) {
      row.classList.toggle("is-marked", roi.at === at);
      if (roi.at === at) name.setAttribute("aria-current", "true");
      else name.removeAttribute("aria-current");
    }
    if (at !== null) within(this.part("list"), this.rows[at].row);
    this.layer.redraw();
    this.remember();
  }

  // Marks a ROI, and shows the middle of its slices, and what crosses it there.
  goTo(at) {
    const { first, last } = this.viewer.stack;
    const roi = this.set.rois[at];
    const middle = this.set.middleOf(roi, first, last);
    this.mark(at);
    if (middle === null) return;
    this.viewer.goTo(middle);
    const centre = this.set.centreOf(roi, middle);
    if (centre) this.viewer.tell("sought", centre);
  }

  step(by) {
    const drawn = this.names().map((name) => Number(name.closest("li").dataset.at));
    if (!drawn.length) return;
    const now = drawn.indexOf(this.layer.marked);
    const next = now < 0 ? (by > 0 ? 0 : drawn.length - 1) : (now + by + drawn.length) % drawn.length;
    this.goTo(drawn[next]);
  }

  // --- what is done to it -------------------------------------------------------------------------

  listen() {
    const on = (name, type, done) => this.part(name).addEventListener(type, done);
    on("set", "change", ({ target }) => this.choose(target.value));
    on("again", "click", () => this.choose(this.part("set").value));
    on("search", "input", () => this.search());
    on("search", "keydown", (event) => this.searched(event));
    on("all", "click", () => this.switchTo(() => true));
    on("nothing", "click", () => this.switchTo(() => false));
    on("hide", "click", () => this.hide(!this.layer.isHidden));
    on("opacity", "input", ({ target }) => {
      this.layer.opacity = target.valueAsNumber / 100;
      this.layer.redraw();
    });
    on("list", "change", ({ target }) => this.switched(target));
    on("list", "keydown", (event) => this.walk(event));
    on("list", "click", ({ target }) => this.clicked(target.closest("button")));
    this.viewer.addEventListener("arrived", ({ detail }) => this.see(detail.slice));
    this.viewer.addEventListener("pointed", ({ detail }) => this.point(detail));
    this.viewer.box.addEventListener("pointerdown", (event) => {
      this.down = event.button === 0 ? [event.clientX, event.clientY] : null;
    });
    this.viewer.box.addEventListener("click", (event) => this.pick(event));
  }

  searched(event) {
    if (event.key === "Escape") {
      this.part("search").value = "";
      this.search();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      this.names()[0]?.focus();
    }
  }

  // The names that lead somewhere and are shown.
  names() {
    return [...this.part("list").querySelectorAll("li:not([hidden]) .over-name:enabled")];
  }

  walk(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const names = this.names();
    const at = names.indexOf(event.target);
    if (!by || at < 0) return;
    event.preventDefault();
    names[at + by]?.focus();
  }

  switched(target) {
    const { hidden } = this.layer;
    const at = Number(target.closest("li").dataset.at);
    if (target.checked) hidden.delete(at);
    else hidden.add(at);
    this.layer.redraw();
  }

  clicked(button) {
    if (!button) return;
    const at = Number(button.closest("li").dataset.at);
    if (button.dataset.does === "only") this.only(at);
    else this.goTo(at);
  }

  point(pointed) {
    const at = pointed && this.set ? this.layer.at(pointed.stage, pointed.point) : null;
    if (at === this.pointed) return;
    this.pointed = at;
    for (const { roi, row } of this.rows) row.classList.toggle("is-pointed", roi.at === at);
  }

  pick(event) {
    const stage = this.viewer.stages.find(({ canvas }) => canvas === event.target);
    if (!stage || !this.set || !this.down) return;
    const [x, y] = this.down;
    if (Math.hypot(event.clientX - x, event.clientY - y) > STILL) return;
    const point = stage.pointAt(stage.onCanvas(event));
    const at = point && this.layer.at(stage, point);
    if (at !== null && at !== undefined) this.mark(at);
  }
}

// --- a row ----------------------------------------------------------------------------------------

function rowOf(roi) {
  const row = document.createElement("li");
  row.dataset.at = roi.at;
  const words = nameOf(roi);
  const name = made("button", "over-name", { type: "button" });
  name.append(swatchOf(roi.colour), Object.assign(document.createElement("bdi"), { textContent: words }));
  const kind = kindOf(roi);
  const type = made("span", "over-type", { textContent: kind });
  const notes = made("div", "over-notes", {});
  if (!roi.contours.length) {
    row.className = "is-empty";
    name.disabled = true;
    row.append(made("span", "over-switch", {}), name, type, notes);
    return { roi, row, name, notes, text: folded(`${words} ${kind} ${roi.number ?? ""}`) };
  }
  name.title = "Go to its middle slice";
  const box = made("input", "form-check-input", { type: "checkbox", checked: true });
  box.setAttribute("autocomplete", "off");
  box.setAttribute("aria-label", `Show ${words}`);
  const holder = made("label", "over-switch", {});
  holder.append(box);
  const only = made("button", "btn btn-outline-secondary btn-sm", { type: "button", textContent: "Only" });
  only.dataset.does = "only";
  only.setAttribute("aria-label", `Only ${words}`);
  row.append(holder, name, type, only, notes);
  return { roi, row, name, box, notes, text: folded(`${words} ${kind} ${roi.number ?? ""}`) };
}

// "organ", "point": what it stands for, and that it has no outline.
function kindOf({ type, contours }) {
  const isPoint = contours.length > 0 && contours.every(({ kind }) => kind === "point");
  return [type, isPoint && "point"].filter(Boolean).join(", ");
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

function noteOf(words) {
  return made("p", "", { textContent: words });
}

function made(tag, className, properties) {
  return Object.assign(document.createElement(tag), { className, ...properties });
}

// Scrolls a box, and not its page.
function within(box, row) {
  const [top, bottom] = [row.offsetTop, row.offsetTop + row.offsetHeight]; // in the box, which is positioned
  if (top < box.scrollTop) box.scrollTop = top;
  else if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}
