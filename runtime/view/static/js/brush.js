// A mask that is painted by hand, in the frame's pixels.

import { encode } from "./rle.js";

export class Brush {
  constructor(stage, canvas) {
    this.stage = stage;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.painted = false;
  }

  // Paint from one point to another. width: of the stroke, in the frame's pixels.
  stroke([x0, y0], [x1, y1], width, erase) {
    if (!this.painted) this.begin();
    const { context } = this;
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    Object.assign(context, { lineWidth: width, lineCap: "round", strokeStyle: "#ff2d9b" });
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1 + 0.01, y1);
    context.stroke();
    this.painted = true;
  }

  begin() {
    const [height, width] = this.stage.size;
    Object.assign(this.canvas, { width, height });
  }

  clear() {
    this.context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.painted = false;
  }

  // What was painted, as COCO RLE.
  mask() {
    const { width, height } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, height);
    const mask = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) mask[x * height + y] = data[4 * (y * width + x) + 3] > 127 ? 1 : 0;
    return encode(mask, height, width);
  }
}
