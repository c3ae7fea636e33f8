// Keys of the whole page, and the list of them.

import { $, element } from "./dom.js";

export class Keys {
  constructor() {
    this.by = new Map();
    document.addEventListener("keydown", (event) => this.press(event));
    $("help").addEventListener("click", () => this.help());
    this.add("?", "This list", () => this.help());
  }

  // keys: as KeyboardEvent has them, the first one is listed. does: in words, or nothing for one that is not listed.
  add(key, does, run) {
    this.by.set(key, run);
    if (does) $("keys").append(element("dt", {}, element("kbd", {}, shown(key))), element("dd", {}, does));
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, dialog")) return;
    const run = this.by.get(event.key) ?? this.by.get(event.key.toLowerCase());
    if (!run || (event.key === " " && event.target.closest?.("button"))) return;
    event.preventDefault();
    run();
  }

  help() {
    const dialog = $("help-dialog");
    if (!dialog.open) dialog.showModal();
  }
}

function shown(key) {
  const names = { " ": "Space", Escape: "Esc", Delete: "Del" };
  return names[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}
