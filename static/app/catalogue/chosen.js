// The chosen rows of a list: how many they are and what they hold, and a bar while there are any.
import { size, write } from "../shared/words.js";

const form = document.getElementById("chosen");
const boxes = [...document.querySelectorAll('input[form="chosen"]')];
const choice = form.querySelector("select");
const name = form.querySelector(".chosen-new");
const clear = form.querySelector("[data-clear]");
const grouped = new Intl.NumberFormat("en");

function show() {
  const chosen = boxes.filter((box) => box.checked);
  const sum = (what) => chosen.reduce((total, box) => total + Number(box.dataset[what]), 0);
  const { one, many } = form.dataset;
  const images = sum("images");
  const words = `${chosen.length} ${chosen.length === 1 ? one : many}, ${grouped.format(images)} image${images === 1 ? "" : "s"}, ${size(sum("size"))}`;
  write(form.querySelector('[data-field="words"]'), chosen.length ? words : "");
  form.hidden = !chosen.length;
  name.hidden = Boolean(choice?.value);
  name.querySelector("input").required = !name.hidden;
}

form.classList.add("chosen-bar");
clear.hidden = false;
clear.addEventListener("click", () => {
  for (const box of boxes) box.checked = false;
  show();
});
choice?.addEventListener("change", show);
for (const box of boxes) box.addEventListener("change", show);
show(); // a browser that comes back may have kept them
