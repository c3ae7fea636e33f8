// What a pointer or the keyboard does on the picture: clicks, boxes, strokes.

import { $, element, icon, svg } from "./dom.js";
import { Brush } from "./brush.js";

export const TOOLS = [
  { id: "add", icon: "add", name: "Click", key: "c", does: "Click on an object: the first click adds it, further ones correct it" },
  { id: "negative", icon: "negative", name: "Not this", key: "x", does: "Click on what does not belong to the object (also: right click)" },
  { id: "box", icon: "box", name: "Box", key: "b", does: "Draw a box around an object" },
  { id: "brush", icon: "brush", name: "Brush", key: "p", does: "Paint an object's mask; hold Alt to take away" },
  { id: "eraser", icon: "eraser", name: "Erase", key: "e", does: "Take paint away" },
  { id: "exemplar", icon: "exemplar", name: "Example", key: "m", does: "Draw a box around an example of what to find; with Alt, of what not (SAM 3)" },
];

const LEAST_BOX = 3; // pixels of the frame; a smaller box is a click that slipped
const LONG_PRESS_MS = 500; // on a touch screen, what the right button is elsewhere

export class Tools {
  // on.click(xy, positive), on.box(corners), on.mask(rle), on.exemplar(corners, positive), on.tool(id)
  // offered: ids of the tools that the page has.
  constructor(stage, offered, on) {
    this.stage = stage;
    this.offered = TOOLS.filter((tool) => offered.includes(tool.id));
    this.on = on;
    this.brush = new Brush(stage, $("paint"));
    this.buttons = new Map();
    this.build();
    this.listen();
    this.choose("add");
  }

  build() {
    const bar = $("tools");
    for (const tool of this.offered) {
      const button = element(
        "button",
        { type: "button", title: `${tool.does} (${tool.key.toUpperCase()})`, onclick: () => this.choose(tool.id) },
        icon(tool.icon),
        tool.name,
      );
      this.buttons.set(tool.id, button);
      bar.append(button);
    }
    this.size = element("input", { type: "range", min: 2, max: 80, value: 24, "aria-label": "Size of the brush" });
    this.sizeLabel = element("label", { hidden: true }, "size", this.size);
    this.use = element("button", { type: "button", className: "main", hidden: true, title: "Use the painted mask (Enter)", onclick: () => this.finishMask() }, icon("check"), "Use mask");
    bar.append(element("div", { className: "gap" }), this.sizeLabel, this.use);
  }

  // Show a tool, or do not where it makes no sense.
  offer(id, offered) {
    this.buttons.get(id).hidden = !offered;
  }

  choose(id) {
    this.tool = id;
    for (const [name, button] of this.buttons) button.setAttribute("aria-pressed", String(name === id));
    const painting = id === "brush" || id === "eraser";
    this.sizeLabel.hidden = !painting;
    if (!painting) this.brush.clear();
    this.use.hidden = !this.brush.painted;
    this.on.tool(id);
  }

  // Forget what was begun. Returns whether anything was.
  cancel() {
    const begun = Boolean(this.drag) || this.brush.painted || Boolean(this.cursor);
    this.drag = null;
    this.rubber?.remove();
    this.cross?.remove();
    this.cursor = this.cross = null;
    this.brush.clear();
    this.use.hidden = true;
    return begun;
  }

  listen() {
    const { node } = this.stage;
    node.addEventListener("pointerdown", (event) => this.down(event));
    node.addEventListener("pointermove", (event) => this.move(event));
    node.addEventListener("pointerup", (event) => this.up(event));
    node.addEventListener("pointercancel", () => this.cancel());
    node.addEventListener("contextmenu", (event) => event.preventDefault());
    node.addEventListener("keydown", (event) => this.key(event));
  }

  down(event) {
    if (!this.stage.size || event.target.closest("#labels button") || !event.isPrimary) return;
    event.preventDefault();
    this.stage.node.focus({ preventScroll: true });
    this.stage.node.setPointerCapture(event.pointerId);
    const at = this.stage.where(event);
    this.drag = { from: at, at, button: event.button, alt: event.altKey, touch: event.pointerType === "touch", since: event.timeStamp };
    if (this.painting && event.button === 0) this.brush.stroke(at, at, this.brushSize, this.erasing(event));
  }

  move(event) {
    if (!this.drag) return;
    const at = this.stage.where(event);
    if (this.painting && this.drag.button === 0) this.brush.stroke(this.drag.at, at, this.brushSize, this.erasing(event));
    this.drag.at = at;
    if (this.boxing) this.showRubber();
  }

  up(event) {
    const drag = this.drag;
    if (!drag) return;
    this.drag = null;
    this.rubber?.remove();
    if (this.painting && drag.button === 0) {
      this.use.hidden = !this.brush.painted;
      return;
    }
    const corners = cornersOf(drag.from, this.stage.where(event));
    const large = corners[2] - corners[0] >= LEAST_BOX && corners[3] - corners[1] >= LEAST_BOX;
    if (this.boxing && drag.button === 0 && large) this.box(corners, drag.alt || event.altKey);
    else if (!this.boxing || drag.button === 2) this.click(drag, event);
  }

  click(drag, event) {
    const long = drag.touch && event.timeStamp - drag.since > LONG_PRESS_MS;
    const positive = this.tool !== "negative" && drag.button === 0 && !event.altKey && !long;
    this.on.click(drag.from, positive);
  }

  box(corners, alt) {
    if (this.tool === "exemplar") this.on.exemplar(corners, !alt);
    else this.on.box(corners);
  }

  get boxing() {
    return this.tool === "box" || this.tool === "exemplar";
  }

  get painting() {
    return this.tool === "brush" || this.tool === "eraser";
  }

  get brushSize() {
    return Number(this.size.value) / this.stage.scale;
  }

  erasing(event) {
    return this.tool === "eraser" || event.altKey;
  }

  showRubber() {
    this.rubber?.remove();
    const [x0, y0, x1, y1] = cornersOf(this.drag.from, this.drag.at);
    this.rubber = svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
    this.stage.marks.append(this.rubber);
  }

  finishMask() {
    if (!this.brush.painted) return;
    const rle = this.brush.mask();
    this.brush.clear();
    this.use.hidden = true;
    this.on.mask(rle);
  }

  // The keyboard's pointer: arrows move it, Enter uses the tool, Shift+Enter is the right button.
  key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!this.stage.size || (!step && event.key !== "Enter")) return;
    event.preventDefault();
    if (step) this.moveCross(step, event.shiftKey ? 10 : 1);
    else this.enter(event.shiftKey);
  }

  moveCross([dx, dy], times) {
    const [height, width] = this.stage.size;
    const unit = Math.max(1, Math.round(Math.max(height, width) / 200)) * times;
    const [x, y] = this.cursor ?? [width / 2, height / 2];
    this.cursor = [Math.min(Math.max(x + dx * unit, 0), width), Math.min(Math.max(y + dy * unit, 0), height)];
    const [cx, cy] = this.cursor;
    const arm = 12 / this.stage.scale;
    this.cross?.remove();
    this.cross = svg("path", { class: "cross", d: `M${cx - arm} ${cy}H${cx + arm}M${cx} ${cy - arm}V${cy + arm}`, fill: "none" });
    this.stage.marks.append(this.cross);
    if (this.drag) {
      this.drag.at = this.cursor;
      this.showRubber();
    }
  }

  enter(shift) {
    if (this.painting && !this.cursor) return this.finishMask();
    if (!this.cursor) return;
    if (this.painting) {
      this.brush.stroke(this.cursor, this.cursor, this.brushSize, this.tool === "eraser" || shift);
      this.use.hidden = !this.brush.painted;
    } else if (!this.boxing) this.on.click(this.cursor, this.tool !== "negative" && !shift);
    else if (!this.drag) this.drag = { from: this.cursor, at: this.cursor, button: 0 };
    else {
      const corners = cornersOf(this.drag.from, this.cursor);
      this.drag = null;
      this.rubber?.remove();
      this.box(corners, shift);
    }
  }
}

function cornersOf([x0, y0], [x1, y1]) {
  return [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1), Math.max(y0, y1)];
}
