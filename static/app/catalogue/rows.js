// Rows that lead somewhere: `[data-row]` with a link `[data-opens]`. Beside its own links a click
// anywhere in a row opens it; with the keys that open a link in a new tab, there.
import { isVisible } from "../shared/visible.js";

const OWN = "a, button, input, label, select, textarea, summary";

export const rows = () => [...document.querySelectorAll("[data-row]")].filter(isVisible);
export const opener = (row) => row.querySelector("[data-opens]") ?? row.querySelector("a");

document.addEventListener("click", (event) => {
  const row = event.target.closest("[data-row]");
  if (!row || event.defaultPrevented || event.target.closest(OWN) || getSelection().toString()) return;
  const { ctrlKey, metaKey, shiftKey } = event;
  opener(row)?.dispatchEvent(
    new MouseEvent("click", { bubbles: true, cancelable: true, ctrlKey, metaKey, shiftKey }),
  );
});

// The menus of a list close as menus do.
const open = () => [...document.querySelectorAll("details.chip-menu[open]")];

document.addEventListener("click", ({ target }) => {
  for (const menu of open()) if (!menu.contains(target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of open()) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});
