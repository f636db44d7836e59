// The header view: rows that do not match are hidden while somebody types; "/" leads to the field;
// a sequence is folded by the button in its row; a switch shows at once what it switches; each value
// is copied by a button of its own.
import { measureBanner } from "../shared/banner.js";
import { copyButton } from "../shared/copying.js";

const table = document.getElementById("attributes");
const field = document.getElementById("attribute-filter");
const count = document.getElementById("attribute-count");
const rows = table ? [...table.tBodies[0].rows] : [];
const given = count.textContent;

const depthOf = (row) => Number(/depth-(\d+)/.exec(row.className)[1]);
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

// Before the header's own "/", which leads to the search of the whole catalogue.
window.addEventListener("keydown", (event) => {
  const isTyping = document.activeElement?.matches("input, select, textarea");
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    event.stopPropagation();
    field.focus();
    field.select();
  }
  if (event.key === "Escape" && document.activeElement === field) field.blur();
}, { capture: true });

const texts = new Map(); // of each row, made when it is first looked at
const textOf = (row) => {
  if (!texts.has(row)) {
    const tag = row.cells[0].textContent;
    const keyword = row.querySelector("th").title;
    texts.set(row, plain(`${row.textContent} ${keyword} ${tag.replace(/[(),]/g, "")}`));
  }
  return texts.get(row);
};

const isItem = (row) => row.classList.contains("attribute-item");
const isSequence = (row) => "sequence" in row.dataset;

// The rows of a sequence's items.
const within = (row) => {
  const found = [];
  let next = row.nextElementSibling;
  for (; next && depthOf(next) > depthOf(row); next = next.nextElementSibling) found.push(next);
  return found;
};

// An item's heading has the depth of the rows in it, up to the next heading of that depth.
const isIn = (above, row) =>
  depthOf(above) < depthOf(row) || (isItem(above) && !isItem(row) && depthOf(above) === depthOf(row));

const folded = new Set(); // sequences
const TAG = /\(?\b([0-9a-f]{4}),([0-9a-f]{4})\b\)?/g; // (0010,0020), which is one word
const show = () => {
  const words = plain(field.value).replace(TAG, "$1$2").split(/[\s^=,;()]+/).filter(Boolean);
  const searches = words.length > 0 && field.value !== field.defaultValue;
  const wanted = new Set();
  const above = [];
  let matching = 0;
  for (const row of searches ? rows : []) {
    while (above.length && !isIn(above.at(-1), row)) above.pop();
    if (!isItem(row) && words.every((word) => textOf(row).includes(word))) {
      matching += 1;
      for (const one of [...above, row]) wanted.add(one);
    }
    if (isSequence(row) || isItem(row)) above.push(row);
  }
  const hidden = new Set([...folded].flatMap(within));
  for (const row of rows) row.hidden = searches ? !wanted.has(row) : hidden.has(row);
  count.textContent = searches ? `${matching.toLocaleString("en")} of ${given.trim()}` : given;
};

for (const row of rows.filter(isSequence)) {
  if (!within(row).length) continue;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "fold";
  button.setAttribute("aria-expanded", "true");
  button.setAttribute("aria-label", `Items of ${row.querySelector(".inset").firstChild.textContent}`);
  button.addEventListener("click", () => {
    const isOpen = folded.delete(row);
    if (!isOpen) folded.add(row);
    button.setAttribute("aria-expanded", String(isOpen));
    show();
  });
  row.querySelector(".inset").prepend(button);
}

// The value as it stands there: all of a folded one, of UIDs not what they are called.
const valueOf = (cell) => {
  const uids = [...cell.querySelectorAll(".uid")];
  if (!uids.length) return cell.querySelector(".long, :scope > bdi")?.textContent ?? "";
  return uids.map((one) => (one.querySelector("a") ?? one.firstChild).textContent.trim()).join("\\");
};

for (const row of rows.filter((one) => !isItem(one))) {
  const cell = row.querySelector(".value");
  if (!valueOf(cell)) continue;
  cell.prepend(copyButton(row.querySelector(".inset").textContent.trim(), () => valueOf(cell)));
}

field.addEventListener("input", show);
for (const box of document.querySelectorAll(".attribute-switches input[type=checkbox]"))
  box.addEventListener("change", () => box.form.requestSubmit());

measureBanner(); // below which the bar stands
