// The structures of one set: a field that filters them, and arrow keys that go through them.
const rows = [...document.querySelectorAll(".roi")];
const filter = document.querySelector(".roi-filter");
const field = filter?.querySelector("input");
const said = document.getElementById("roi-shown");
const none = document.getElementById("roi-none");

const folded = (text) =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLocaleLowerCase();
const texts = rows.map((row) =>
  folded([...row.querySelectorAll(".roi-number, .roi-name, .roi-type")].map((cell) => cell.textContent).join(" ")),
);

const shown = () => rows.filter((row) => !row.hidden);

function show() {
  const words = folded(field.value).split(/[\s*]+/).filter(Boolean);
  rows.forEach((row, at) => {
    row.hidden = !words.every((word) => texts[at].includes(word));
  });
  const count = shown().length;
  none.hidden = count > 0;
  said.textContent = words.length ? `${count} of ${rows.length} structures` : "";
}

const linkOf = (row) => row.querySelector(".roi-name a");

function step(by) {
  const open = shown();
  if (!open.length) return;
  const at = open.findIndex((row) => row.contains(document.activeElement));
  const next = at < 0 ? (by > 0 ? 0 : open.length - 1) : Math.min(Math.max(at + by, 0), open.length - 1);
  linkOf(open[next]).focus();
  open[next].scrollIntoView({ block: "nearest" });
}

const STEPS = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 };

document.addEventListener("keydown", (event) => {
  const by = STEPS[event.key];
  if (!by || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  const typed = event.target.closest("input, textarea, select, [contenteditable]");
  // From the filter one goes down into what it shows.
  if (typed && !(typed === field && event.key === "ArrowDown")) return;
  if (event.target.closest("summary, details[open]")) return;
  event.preventDefault();
  step(by);
});

if (rows.length && filter) {
  filter.hidden = false;
  field.addEventListener("input", show);
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    field.value = "";
    show();
  });
}
