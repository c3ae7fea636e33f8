// Light or dark: as the system has it, until the user chooses.

import { $ } from "./dom.js";

const KEY = "masklet theme";

export function setUpTheme() {
  const chosen = localStorage.getItem(KEY);
  if (chosen) document.documentElement.dataset.theme = chosen;
  $("theme").addEventListener("click", () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" ||
      (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    localStorage.setItem(KEY, document.documentElement.dataset.theme);
  });
}
