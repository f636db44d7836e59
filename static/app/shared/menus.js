// The header's menus close as menus do; "/" leads to the search field, and Esc out of it.
const menus = [...document.querySelectorAll("details.site-menu")];
const search = document.getElementById("search-site");

const isTyping = () => document.activeElement?.matches("input, select, textarea");

document.addEventListener("click", ({ target }) => {
  for (const menu of menus) if (!menu.contains(target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const open = menus.find((menu) => menu.open);
    if (open) {
      open.open = false;
      open.querySelector("summary").focus();
    }
    if (document.activeElement === search) search.blur();
  }
  if (event.key === "/" && search && !isTyping()) {
    event.preventDefault(); // or the slash would be typed into it
    search.focus();
  }
});
