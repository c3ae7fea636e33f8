// Several streams: a small picture of each, to choose the large one.

import { $, element, say } from "./dom.js";
import { MaskPainter, decodePicture } from "./picture.js";

export const TILE_SIDE = 320; // pixels of a small picture's longer side

export class Tiles {
  // on.choose(number)
  constructor(on) {
    this.on = on;
    this.row = $("tiles");
    this.tiles = new Map();
    this.masks = new MaskPainter(document.createElement("canvas"));
  }

  show(streams, chosen) {
    this.row.hidden = streams.length < 2;
    for (const stream of streams) {
      const tile = this.tiles.get(stream.number) ?? this.add(stream);
      tile.button.setAttribute("aria-selected", String(stream.number === chosen));
      say(tile.name, `${stream.number}  ${stream.name}${stream.ended ? " (ended)" : ""}`);
    }
  }

  add(stream) {
    const canvas = document.createElement("canvas");
    const name = element("span");
    const button = element("button", { type: "button", role: "tab", onclick: () => this.on.choose(stream.number) }, canvas, name);
    const tile = { button, canvas, name };
    this.tiles.set(stream.number, tile);
    this.row.append(button);
    return tile;
  }

  async draw(frame, view) {
    const tile = this.tiles.get(frame.stream);
    if (!tile) return;
    const bitmap = await decodePicture(frame);
    Object.assign(tile.canvas, { width: bitmap.width, height: bitmap.height });
    const context = tile.canvas.getContext("2d");
    context.drawImage(bitmap, 0, 0);
    this.masks.paint(frame.size, frame.objects, view.colours, view.hidden, null);
    context.drawImage(this.masks.canvas, 0, 0, bitmap.width, bitmap.height);
    bitmap.close();
  }
}
