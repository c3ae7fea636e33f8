// A clip along time: for each object where its mask is, is missing, or is lost; its prompts; agreement with true masks.

import { $, element } from "./dom.js";

const ROW = 22; // pixels of an object
const HEAD = 18; // of the scale above
const J_ROW = 34; // of an object with true masks
const ALPHA = { unknown: 0, visible: 0.9, lost: 0.25 };

export class TimelineView {
  // on.frame(position): a frame was chosen
  constructor(on) {
    this.on = on;
    this.canvas = $("timeline");
    this.objects = [];
    this.count = 1;
    this.at = 0;
    this.canvas.addEventListener("pointerdown", (event) => (this.canvas.setPointerCapture(event.pointerId), (this.held = true), this.point(event)));
    this.canvas.addEventListener("pointermove", (event) => this.held && this.point(event));
    this.canvas.addEventListener("pointerup", () => (this.held = false));
    this.canvas.addEventListener("pointercancel", () => (this.held = false));
    new ResizeObserver(() => this.draw()).observe(this.canvas.parentElement);
  }

  point(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    this.on.frame(Math.min(Math.max(Math.floor(share * this.count), 0), this.count - 1));
  }

  // along: of the API's timeline, by id. prompted: positions of prompts by id. at: the position that is shown.
  show({ objects, along, prompted, count, at, label }) {
    Object.assign(this, { objects, along, prompted, count, at, label });
    this.canvas.setAttribute("aria-valuemax", String(count - 1));
    this.canvas.setAttribute("aria-valuenow", String(at));
    this.draw();
  }

  draw() {
    if (!this.along) return;
    const { canvas } = this;
    const ratio = window.devicePixelRatio;
    const rows = this.objects.map((one) => (this.along.get(one.id)?.j ? J_ROW : ROW));
    const height = HEAD + rows.reduce((sum, row) => sum + row, 0) + 4;
    canvas.style.height = `${height}px`;
    const width = canvas.parentElement.clientWidth;
    Object.assign(canvas, { width: width * ratio, height: height * ratio });
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    const { color: ink, caretColor: dim, textDecorationColor: line } = getComputedStyle(canvas); // as the theme has them
    this.unit = width / this.count;
    this.drawScale(context, dim, width);
    let top = HEAD;
    this.objects.forEach((one, n) => {
      this.drawObject(context, one, top, rows[n] - 4, line, ink);
      top += rows[n];
    });
    context.fillStyle = ink;
    context.fillRect((this.at + 0.5) * this.unit - 1, 0, 2, height);
  }

  drawScale(context, colour, width) {
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((n) => n * this.unit > 56) ?? 20000;
    Object.assign(context, { fillStyle: colour, font: "11px system-ui, sans-serif", textBaseline: "top" });
    for (let n = 0; n < this.count; n += step) {
      context.fillRect(n * this.unit, 12, 1, 5);
      if (n * this.unit < width - 30) context.fillText(this.label(n), n * this.unit + 3, 0);
    }
  }

  drawObject(context, one, top, height, line, ink) {
    const along = this.along.get(one.id);
    context.fillStyle = line;
    context.fillRect(0, top + height / 2 - 0.5, this.count * this.unit, 1);
    let at = 0;
    for (const [kind, length] of along?.runs ?? []) {
      context.globalAlpha = ALPHA[kind];
      context.fillStyle = one.colour;
      if (kind !== "unknown") context.fillRect(at * this.unit, top + height * 0.25, length * this.unit, height * 0.5);
      at += length;
    }
    context.globalAlpha = 1;
    if (along?.j) this.drawJ(context, along.j, top, height, ink);
    for (const position of this.prompted.get(one.id) ?? []) {
      const x = (position + 0.5) * this.unit;
      context.beginPath();
      context.arc(x, top + height / 2, 4.5, 0, 7);
      Object.assign(context, { fillStyle: one.colour, strokeStyle: ink, lineWidth: 1.5 });
      context.fill();
      context.stroke();
    }
  }

  // J from 0 at the bottom of the row to 1 at its top.
  drawJ(context, j, top, height, ink) {
    Object.assign(context, { strokeStyle: ink, lineWidth: 1.5 });
    context.beginPath();
    let drawing = false;
    j.forEach((value, n) => {
      if (value === null) return void (drawing = false);
      const point = [(n + 0.5) * this.unit, top + height * (1 - value)];
      drawing ? context.lineTo(...point) : context.moveTo(...point);
      drawing = true;
    });
    context.stroke();
  }
}

export function meanJ(along) {
  const values = [...along.values()].flatMap((one) => (one.j ?? []).filter((value) => value !== null));
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}
