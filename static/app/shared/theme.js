"use strict";

// In <head>, before anything is painted. The admin keeps its own choice under "theme":
// light, dark or auto, and these pages follow it.
{
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const apply = () => {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // Storage may be forbidden; then the system's preference holds.
    }
    const isDark = chosen === "dark" || (chosen !== "light" && dark.matches);
    document.documentElement.dataset.bsTheme = isDark ? "dark" : "light";
  };

  apply();
  dark.addEventListener("change", apply);
  document.documentElement.classList.remove("no-js");
}
