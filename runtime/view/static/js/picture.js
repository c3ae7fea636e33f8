// Draws a frame: its picture, and over it the masks of its objects with their contours.

import { decode } from "./rle.js";

const TINT = 0.42; // of a colour in its mask

// "#rrggbb" as a pixel of ImageData's buffer, little end first.
function pixel(colour, alpha) {
  const value = parseInt(colour.slice(1), 16);
  return ((Math.round(255 * alpha) << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

export class MaskPainter {
  // canvas: gets the size of the frame in pixels, so that a pixel is visible exactly where an object's mask is.
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
  }

  // objects: of a result. colours: id to "#rrggbb". hidden: ids that are left out. strong: the id drawn in full.
  paint([height, width], objects, colours, hidden, strong) {
    if (this.canvas.width !== width || this.canvas.height !== height) {
      Object.assign(this.canvas, { width, height });
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0);
    for (const one of objects) {
      if (hidden.has(one.id) || !one.bbox[2]) continue;
      const colour = colours.get(one.id) ?? "#ffffff";
      const tint = strong === one.id ? TINT + 0.18 : TINT;
      this.draw(decode(one.segmentation), one.bbox, height, width, pixel(colour, tint), pixel(colour, 1));
    }
    this.context.putImageData(this.image, 0, 0);
  }

  // mask: down the columns; its pixels beside others are the contour.
  draw(mask, [left, top, w, h], height, width, inside, contour) {
    const { pixels } = this;
    for (let x = left; x < left + w; x++) {
      const column = x * height;
      for (let y = top; y < top + h; y++) {
        const at = column + y;
        if (!mask[at]) continue;
        const edge =
          x === 0 || x === width - 1 || y === 0 || y === height - 1 ||
          !mask[at - 1] || !mask[at + 1] || !mask[at - height] || !mask[at + height];
        pixels[y * width + x] = edge ? contour : inside;
      }
    }
  }
}

// A frame's picture as an image to draw. Its JPEG is decoded beside this thread.
export const decodePicture = (frame) => createImageBitmap(frame.jpeg);
