"use strict";

// In <head>, before anything is painted: light or dark, as this reader chose, else as the system is.
{
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const CHOICE = "[data-theme-choice]";

  const chosen = () => {
    try {
      return localStorage.getItem("theme") || "auto";
    } catch {
      return "auto"; // storage may be forbidden
    }
  };

  const apply = (choice) => {
    const isDark = choice === "dark" || (choice !== "light" && dark.matches);
    document.documentElement.dataset.bsTheme = isDark ? "dark" : "light";
    for (const button of document.querySelectorAll(CHOICE)) {
      button.setAttribute("aria-pressed", button.dataset.themeChoice === choice);
    }
  };

  const choose = (choice) => {
    try {
      localStorage.setItem("theme", choice);
    } catch {
      // Then it holds for this page alone.
    }
    apply(choice);
  };

  apply(chosen());
  dark.addEventListener("change", () => apply(chosen()));
  window.addEventListener("storage", () => apply(chosen())); // another tab chose
  document.addEventListener("DOMContentLoaded", () => {
    apply(chosen());
    for (const part of document.querySelectorAll("[data-needs-scripts]")) part.hidden = false;
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(CHOICE);
    if (button) choose(button.dataset.themeChoice);
  });
  document.documentElement.classList.remove("no-js");
}
