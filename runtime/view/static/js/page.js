// What every page has: the picture, its tools, the list of objects, and which of them is selected.

import { call } from "./api.js";
import { $, element } from "./dom.js";
import { Keys } from "./keys.js";
import { problem } from "./notices.js";
import { ObjectList } from "./objects.js";
import { Stage } from "./stage.js";
import { TOOLS, Tools } from "./tools.js";

const ON_PICTURE = [
  ["Arrows", "On the picture: move a crosshair, ten times as fast with Shift"],
  ["Enter", "On the picture: use the tool at the crosshair; with Shift, as the right button"],
];

// A page gives: known (its objects), prompt(body, done, id), rename(id, name), remove(id), undo(), and shows itself in refresh().
export class Page {
  constructor(offered) {
    this.selected = null;
    this.hidden = new Set(); // ids of objects whose masks are hidden
    this.stage = new Stage({ label: (id) => this.select(id) });
    this.objects = new ObjectList({
      select: (id) => this.select(id),
      hide: (id) => this.hide(id),
      rename: (id, name) => this.rename(id, name),
      remove: (id) => this.remove(id),
    });
    this.tools = new Tools(this.stage, offered, {
      click: (at, positive) => this.click(at, positive),
      box: (corners) => this.prompt({ box: corners }, this.stage.markBox(corners)),
      mask: (mask) => this.prompt({ mask }),
      exemplar: (corners, positive) => this.exemplar(corners, positive),
      tool: () => this.showTarget(),
    });
    this.keys = new Keys();
    for (const tool of TOOLS.filter((one) => offered.includes(one.id))) this.keys.add(tool.key, tool.does, () => this.tools.choose(tool.id));
    this.keys.add("n", "New object: the next click adds one", () => this.select(null));
    this.keys.add("z", "Undo", () => this.undo());
    this.keys.add("h", "Hide the masks, or show them", () => $("masks").classList.toggle("off"));
    this.keys.add("Delete", "Remove the selected object", () => this.selected !== null && this.remove(this.selected));
    this.keys.add("Escape", "Cancel what was begun; then no object is selected", () => this.tools.cancel() || this.select(null));
  }

  // The keys of the picture itself stand at the end of the list.
  endKeys() {
    for (const [key, does] of ON_PICTURE) $("keys").append(element("dt", {}, element("kbd", {}, key)), element("dd", {}, does));
  }

  // What drawing needs to know of objects.
  view(objects = this.known, selected = this.selected, hidden = this.hidden) {
    const byId = new Map(objects.map((one) => [one.id, one]));
    return {
      colours: new Map(objects.map((one) => [one.id, one.colour])),
      hidden,
      selected,
      nameOf: (id) => byId.get(id)?.name || (byId.get(id)?.phrase ? `${byId.get(id).phrase} ${id}` : `Object ${id}`),
    };
  }

  select(id) {
    this.selected = id;
    this.refresh();
  }

  hide(id) {
    if (!this.hidden.delete(id)) this.hidden.add(id);
    this.refresh();
  }

  refresh() {
    if (this.selected !== null && !this.known.some((one) => one.id === this.selected)) this.selected = null;
    const view = this.view();
    this.objects.show(this.known, view);
    this.stage.redraw(view);
    this.showTarget();
  }

  // What the tool in hand would do.
  showTarget() {
    const tool = TOOLS.find((one) => one.id === this.tools?.tool);
    if (!tool || !this.known) return;
    const target = $("target");
    const one = this.known.find((each) => each.id === this.selected);
    const alone = tool.id === "negative" ? "Not this: click into the mask to correct" : `${tool.name}: adds a new object`;
    const text = one ? `${tool.name}: corrects ` : alone;
    const key = `${text}${one?.id}${one?.name}`;
    if (target.dataset.key === key) return;
    target.dataset.key = key;
    target.replaceChildren(text);
    if (!one) return;
    const dot = element("span", { className: "dot" });
    dot.style.background = one.colour;
    target.append(dot, element("b", {}, this.view().nameOf(one.id)));
  }

  // Ask the API; says what went wrong, and returns null then. What has no answer returns true.
  async ask(method, path, body) {
    try {
      return (await call(method, path, body)) ?? true;
    } catch (error) {
      problem(error);
      return null;
    }
  }

  click(at, positive) {
    let id = this.selected;
    if (!positive && id === null) {
      [id = null] = this.stage.objectsAt(at);
      if (id === null) return problem("No object is selected, and none is there: select the one that this does not belong to");
    }
    return this.prompt({ points: [at], labels: [Number(positive)] }, this.stage.markClick(at, positive), id);
  }
}
