// The chosen rows of a list: how many they are and what they hold, and a bar while there are any.
// Their primary keys, and nothing else, are kept in this tab until somebody signs in or out: so they
// stay chosen on the list's other pages, and under other filters.
import { size, write } from "../shared/words.js";

const form = document.getElementById("chosen");
const boxes = [...document.querySelectorAll('input[form="chosen"]')];
const rows = [...new Map(boxes.map((box) => [box.value, box])).values()]; // of several boxes of one, one
const choice = form.querySelector("select");
const name = form.querySelector(".chosen-new");
const over = form.querySelector("[data-over]"); // of what is said of large ZIPs
const clear = form.querySelector("[data-clear]");
const elsewhere = form.appendChild(document.createElement("span"));
const { one, many, most, person } = form.dataset;
const place = `chosen-${one}-${person}`;
const grouped = new Intl.NumberFormat("en");
const here = new Set(boxes.map((box) => box.value));

const read = () => JSON.parse(sessionStorage.getItem(place) ?? "[]");
const keep = (keys) => sessionStorage.setItem(place, JSON.stringify(keys));

function show() {
  const keys = read();
  const others = keys.filter((key) => !here.has(key));
  for (const box of boxes) box.checked = keys.includes(box.value);
  elsewhere.replaceChildren(...others.map(field));
  write(form.querySelector('[data-field="words"]'), keys.length ? words(keys.length, others.length) : "");
  form.hidden = !keys.length;
  if (over) over.hidden = sum("size") <= Number(over.dataset.over);
  if (!name) return;
  name.hidden = Boolean(choice?.value);
  name.querySelector("input").required = !name.hidden;
}

// What is posted of a row that is not on this page.
function field(key) {
  const input = document.createElement("input");
  input.type = "hidden";
  input.name = "row";
  input.value = key;
  return input;
}

function words(all, others) {
  const what = `${grouped.format(all)} ${all === 1 ? one : many}`;
  if (all > most) return `${what}: choose at most ${grouped.format(most)} at a time`;
  if (others) return `${what}, ${others === all ? "none" : grouped.format(all - others)} of them on this page`;
  const images = sum("images");
  return `${what}, ${grouped.format(images)} image${images === 1 ? "" : "s"}, ${size(sum("size"))}`;
}

function sum(what) {
  return rows.reduce((total, box) => total + (box.checked ? Number(box.dataset[what]) : 0), 0);
}

function choose({ target }) {
  const others = read().filter((key) => key !== target.value);
  keep(target.checked ? [...others, target.value] : others);
  show();
}

form.classList.add("chosen-bar");
clear.hidden = false;
clear.addEventListener("click", () => {
  keep([]);
  show();
});
form.addEventListener("submit", (event) => {
  if (read().length > most) event.preventDefault();
  else if (!event.submitter?.hasAttribute("formaction")) keep([]); // they have a place now
});
choice?.addEventListener("change", show);
for (const box of boxes) box.addEventListener("change", choose);
addEventListener("pageshow", show); // a browser that comes back may have kept what was chosen then
show();
