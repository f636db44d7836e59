// The keys of the catalogue's pages. They work while no field has the focus, and where the page has
// what they are for: rows (see rows.js), a page above this one, the search field (whose "/" is of
// shared/menus.js). Above a page is where `[data-up]` or <link rel="up"> leads, else the patient.
import { isVisible } from "../shared/visible.js";
import { opener, rows } from "./rows.js";

const up =
  document.querySelector("[data-up], link[rel=up]") ??
  document.querySelector(".patient-banner a.banner-name");
const search = document.getElementById("search-site");

// Key, what the list calls it, what it is for, whether this page has it, what it does.
const KEYS = [
  [["j", "ArrowDown"], "j or ↓", "Next row", () => rows().length, () => mark(1)],
  [["k", "ArrowUp"], "k or ↑", "Row before", () => rows().length, () => mark(-1)],
  [[], "Enter", "Open the marked row", () => rows().length],
  [["x"], "x", "Choose the marked row", () => document.querySelector(".col-box"), () => choose()],
  [["d"], "d", "Download", () => download(), () => fetchIt()],
  [["u"], "u", "One level up", () => up, () => location.assign(up.href)],
  [[], "/", "Search", () => search],
  [["?"], "?", "Show these keys", () => true, () => show()],
];

const isTyping = () =>
  document.activeElement?.matches("input, select, textarea, [contenteditable]") ||
  document.querySelector("dialog[open]");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isTyping()) return;
  const found = KEYS.find(([keys, , , isHere]) => keys.includes(event.key) && isHere());
  if (!found) return;
  event.preventDefault(); // arrows would scroll
  found[4]();
});

// The marked row is the one whose link has the focus, so that Enter opens it.
function mark(step) {
  const all = rows();
  const at = all.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : at + step;
  const row = all[Math.min(Math.max(next, 0), all.length - 1)];
  opener(row)?.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" });
}

// Where this page offers a download: the choice of how, or the file itself.
function download() {
  return [...document.querySelectorAll("[data-download]")].find(isVisible);
}

function fetchIt() {
  const offered = download();
  if (offered.matches("a")) return offered.click();
  offered.open = true;
  offered.querySelector("input, button").focus();
}

function choose() {
  const row = rows().find((one) => one.contains(document.activeElement));
  row?.querySelector(".col-box input")?.click();
}

function show() {
  const dialog = document.createElement("dialog");
  dialog.className = "keys";
  dialog.setAttribute("aria-labelledby", "keys-heading");
  const list = element("dl");
  for (const [, name, meaning, isHere] of KEYS) {
    if (isHere()) list.append(element("dt", name), element("dd", meaning));
  }
  const close = element("button", "Close");
  close.className = "btn btn-outline-secondary btn-sm";
  close.type = "button";
  close.addEventListener("click", () => dialog.close());
  const heading = element("h2", "Keys");
  heading.id = "keys-heading";
  dialog.append(heading, list, close);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
