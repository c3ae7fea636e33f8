// The large picture: where things are on it, in the pixels of the frame.

import { $, element, svg } from "./dom.js";
import { MaskPainter, decodePicture } from "./picture.js";

const MARK_PX = 7; // radius of a click's mark on the screen

export class Stage {
  // on.label(id): the label of an object was clicked.
  constructor(on) {
    this.on = on;
    this.node = $("stage");
    this.picture = $("picture");
    this.marks = $("marks");
    this.labels = $("labels");
    this.masks = new MaskPainter($("masks"));
    this.frame = null;
    this.size = null;
    new ResizeObserver(() => this.fit()).observe($("frame-box"));
  }

  // Draw a frame, with what is known of its objects.
  async show(frame, view) {
    const bitmap = await decodePicture(frame);
    await new Promise(requestAnimationFrame);
    const [height, width] = frame.size;
    if (this.size?.[0] !== height || this.size?.[1] !== width) {
      this.size = [height, width];
      this.marks.setAttribute("viewBox", `0 0 ${width} ${height}`);
      $("frame-box").style.setProperty("--ratio", width / height);
      this.fit();
    }
    if (this.picture.width !== bitmap.width || this.picture.height !== bitmap.height)
      Object.assign(this.picture, { width: bitmap.width, height: bitmap.height });
    this.picture.getContext("2d").drawImage(bitmap, 0, 0);
    bitmap.close();
    this.frame = frame;
    this.redraw(view);
  }

  // Draw masks and labels again, over the picture that is there.
  redraw(view) {
    if (!this.frame) return;
    const { size, objects, frame } = this.frame;
    this.masks.paint(size, objects, view.colours, view.hidden, view.selected);
    this.node.dataset.frame = frame;
    $("empty").hidden = true;
    this.showLabels(objects, view);
  }

  showLabels(objects, view) {
    const [height, width] = this.size;
    const seen = objects.filter((one) => one.bbox[2] && !view.hidden.has(one.id));
    const shown = new Map([...this.labels.children].map((node) => [node.dataset.id, node]));
    for (const one of seen) {
      const key = String(one.id);
      let label = shown.get(key);
      if (!label) {
        label = element("button", { type: "button", tabIndex: -1, onclick: () => this.on.label(one.id) });
        label.dataset.id = key;
        this.labels.append(label);
      }
      shown.delete(key);
      label.textContent = view.nameOf(one.id);
      label.style.background = view.colours.get(one.id) ?? "#fff";
      label.style.left = `${(100 * Math.min(one.bbox[0], width * 0.92)) / width}%`;
      label.style.top = `${(100 * one.bbox[1]) / height}%`;
      label.classList.toggle("low", one.bbox[1] < height * 0.06);
      label.setAttribute("aria-pressed", String(view.selected === one.id));
    }
    for (const gone of shown.values()) gone.remove();
  }

  // The largest size at the frame's proportions that its place allows.
  fit() {
    if (!this.size) return;
    const [height, width] = this.size;
    const box = $("frame-box").getBoundingClientRect();
    const factor = Math.min(box.width / width, box.height / height);
    this.node.style.width = `${width * factor}px`;
    this.node.style.height = `${height * factor}px`;
    this.scale = factor;
  }

  // The longer side, in device pixels, at which the picture is shown.
  get side() {
    const box = $("frame-box").getBoundingClientRect();
    return Math.round(Math.max(box.width, box.height) * Math.min(window.devicePixelRatio, 2));
  }

  // Where a pointer is, in the frame's pixels, kept within it.
  where(event) {
    const box = this.node.getBoundingClientRect();
    const [height, width] = this.size;
    const within = (value, most) => Math.min(Math.max(value, 0), most);
    return [
      within(((event.clientX - box.left) / box.width) * width, width),
      within(((event.clientY - box.top) / box.height) * height, height),
    ];
  }

  // Ids of the objects at a point, those drawn last first.
  objectsAt([x, y]) {
    if (!this.frame) return [];
    const [height, width] = this.size;
    const alpha = this.masks.image?.data[4 * (Math.min(Math.floor(y), height - 1) * width + Math.min(Math.floor(x), width - 1)) + 3];
    if (!alpha) return [];
    return this.frame.objects
      .filter(({ bbox: [left, top, w, h] }) => x >= left && x <= left + w && y >= top && y <= top + h)
      .sort((a, b) => a.bbox[2] * a.bbox[3] - b.bbox[2] * b.bbox[3])
      .map((one) => one.id);
  }

  // Mark a click that waits for its frame. Returns what takes the mark away.
  markClick([x, y], positive) {
    const mark = svg("circle", { class: `click waiting${positive ? "" : " negative"}`, cx: x, cy: y, r: MARK_PX / this.scale });
    return this.mark(mark);
  }

  markBox([x0, y0, x1, y1], negative = false) {
    const mark = svg("rect", { x: x0, y: y0, width: x1 - x0, height: y1 - y0, class: negative ? "negative" : "" });
    return this.mark(mark);
  }

  mark(mark) {
    this.marks.append(mark);
    return () => {
      mark.classList.remove("waiting");
      mark.classList.add("done");
      setTimeout(() => mark.remove(), 1800);
    };
  }
}
