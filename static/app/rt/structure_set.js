// A field that filters the structures of a set; keys.js goes through those that it shows.
const rows = [...document.querySelectorAll(".roi")];
const filter = document.querySelector(".roi-filter");
const field = filter?.querySelector("input");
const said = document.getElementById("roi-shown");
const none = document.getElementById("roi-none");

const folded = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const cells = (row) => [...row.querySelectorAll(".col-number, .col-name, .col-type, .col-state")];
const texts = rows.map((row) => folded(cells(row).map((cell) => cell.textContent).join(" ")));
const opener = (row) => row.querySelector("[data-opens]");

function show() {
  const words = folded(field.value).split(/[\s*]+/).filter(Boolean);
  rows.forEach((row, at) => {
    row.hidden = !words.every((word) => texts[at].includes(word));
  });
  const count = rows.filter((row) => !row.hidden).length;
  none.hidden = count > 0;
  said.textContent = words.length ? `${count} of ${rows.length} structures` : "";
}

function pressed(event) {
  if (event.key === "Escape") {
    field.value = "";
    show();
  } else if (event.key === "ArrowDown") {
    const first = rows.find((row) => !row.hidden);
    if (first) opener(first).focus();
    event.preventDefault();
  }
}

if (rows.length && filter) {
  filter.hidden = false;
  field.addEventListener("input", show);
  field.addEventListener("keydown", pressed);
  if (field.value) show(); // as the browser has kept it
}
document.querySelector(".roi-marked")?.scrollIntoView({ block: "nearest" });
