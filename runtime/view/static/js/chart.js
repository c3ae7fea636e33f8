// Where the time of the last frames went: the stages one above the other.

import { $, element, say } from "./dom.js";

const FRAMES = 160;
const ORDER = ["image_encoder", "text_encoder", "geometry_encoder", "detector", "memory_attention", "mask_prompt_encoder", "mask_decoder", "memory_encoder"]; // as a frame goes through them
const COLOURS = ["#0ea5a4", "#6366f1", "#f59e0b", "#ec4899", "#84cc16", "#38bdf8", "#a855f7", "#f97316", "#64748b"];

export class StageChart {
  constructor() {
    this.canvas = $("chart");
    this.frames = [];
    this.names = [];
  }

  // stages: [[number, {stage: ms}]], of which some are known already.
  show(stages) {
    const last = this.frames.at(-1)?.[0] ?? 0;
    const fresh = stages.filter(([number]) => number > last);
    if (stages.length && stages.at(-1)[0] < last) this.frames = []; // another run
    if (!fresh.length) return;
    this.frames.push(...fresh);
    this.frames.splice(0, this.frames.length - FRAMES);
    for (const [, times] of fresh) for (const name of Object.keys(times)) if (!this.names.includes(name)) this.names.push(name);
    this.names.sort((a, b) => place(a) - place(b));
    this.draw();
    this.showLegend();
  }

  draw() {
    const { canvas } = this;
    const ratio = window.devicePixelRatio;
    const width = (canvas.width = canvas.clientWidth * ratio);
    const height = (canvas.height = canvas.clientHeight * ratio);
    const context = canvas.getContext("2d");
    const totals = this.frames.map(([, times]) => sum(Object.values(times)));
    const most = Math.max(...totals) * 1.1 || 1;
    const bar = width / FRAMES;
    this.frames.forEach(([, times], n) => {
      let base = height;
      const x = width - (this.frames.length - n) * bar;
      this.names.forEach((name, at) => {
        const tall = ((times[name] ?? 0) / most) * height;
        context.fillStyle = COLOURS[at % COLOURS.length];
        context.fillRect(x, base - tall, Math.max(1, bar - (bar > 3 ? 1 : 0)), tall);
        base -= tall;
      });
    });
    say($("total"), `${median(totals).toFixed(1)} ms a frame`);
  }

  showLegend() {
    const legend = $("legend");
    if (legend.dataset.names !== String(this.names)) {
      legend.dataset.names = this.names;
      legend.replaceChildren(...this.names.map((name, at) => {
        const dot = element("span", { className: "dot" });
        dot.style.background = COLOURS[at % COLOURS.length];
        return element("li", {}, dot, name.replaceAll("_", " "), element("b"));
      }));
    }
    this.names.forEach((name, at) => {
      say(legend.children[at].lastChild, `${median(this.frames.map(([, times]) => times[name] ?? 0)).toFixed(1)} ms`);
    });
  }
}

const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

const sum = (values) => values.reduce((total, value) => total + value, 0);

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
