// The list of objects: colour, name, score, whether it is in sight; to select, hide, rename and remove.

import { $, element, iconButton, say } from "./dom.js";

export class ObjectList {
  // on.select(id), on.hide(id), on.rename(id, name), on.remove(id)
  constructor(on) {
    this.on = on;
    this.list = $("objects");
    this.rows = new Map();
  }

  show(objects, view) {
    $("no-objects").hidden = objects.length > 0;
    const visible = objects.filter((one) => one.visible).length;
    say($("count"), objects.length ? `${visible} of ${objects.length} in sight` : "");
    const ids = new Set(objects.map((one) => one.id));
    for (const [id, row] of this.rows) {
      if (ids.has(id)) continue;
      row.item.remove();
      this.rows.delete(id);
    }
    for (const one of objects) this.update(this.rows.get(one.id) ?? this.add(one), one, view);
  }

  add(one) {
    const dot = element("span", { className: "dot" });
    const name = element("span", { className: "name", title: "Double click or F2 to rename" });
    const about = element("small");
    const see = iconButton("eye", "Hide or show its mask", (event) => (event.stopPropagation(), this.on.hide(one.id)), { className: "plain see" });
    const remove = iconButton("remove", "Stop tracking it (Delete)", (event) => (event.stopPropagation(), this.on.remove(one.id)), { className: "plain remove" });
    const item = element("li", { tabIndex: 0, role: "option", onclick: () => this.on.select(one.id) }, dot, name, about, see, remove);
    const row = { item, dot, name, about, see };
    item.addEventListener("dblclick", () => this.rename(row, one.id));
    item.addEventListener("keydown", (event) => this.key(event, row, one.id));
    this.rows.set(one.id, row);
    this.list.append(item);
    return row;
  }

  update(row, one, view) {
    row.dot.style.background = one.colour;
    if (!row.input) say(row.name, view.nameOf(one.id));
    say(row.about, `${one.name ? `id ${one.id} · ` : ""}${one.about ?? standing(one)}`); // without a name the id stands above
    row.about.classList.toggle("lost", one.lost ?? !one.visible);
    row.item.setAttribute("aria-selected", String(view.selected === one.id));
    row.see.querySelector("use").setAttribute("href", view.hidden.has(one.id) ? "#i-hidden" : "#i-eye");
  }

  key(event, row, id) {
    if (event.target !== row.item) return;
    if (event.key === "Enter" || event.key === " ") this.on.select(id);
    else if (event.key === "F2") this.rename(row, id);
    else if (event.key === "Delete") this.on.remove(id);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  rename(row, id) {
    if (row.input) return;
    const input = element("input", { maxLength: 80, value: row.name.textContent, "aria-label": "Name" });
    const done = (keep) => {
      if (!row.input) return;
      row.input = null;
      input.replaceWith(row.name);
      if (keep) this.on.rename(id, input.value);
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") done(true);
      if (event.key === "Escape") done(false);
    });
    input.addEventListener("click", (event) => event.stopPropagation());
    input.addEventListener("blur", () => done(true));
    row.input = input;
    row.name.replaceWith(input);
    input.select();
  }
}

// What the list says of an object of a stream.
function standing(one) {
  const phrase = one.phrase && one.name ? [one.phrase] : [];
  if (!one.visible) return [...phrase, `lost for ${one.unseen} frame${one.unseen === 1 ? "" : "s"}`].join(" · ");
  return [...phrase, "in sight", `score ${one.score.toFixed(2)}`].join(" · ");
}
