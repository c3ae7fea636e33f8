// Several streams: a small picture of each, to choose the large one.

import { $, element, say, shortName } from "./dom.js";
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
      tile.button.title = stream.name;
      say(tile.name, `${stream.number}  ${shortName(stream.name)}${stream.ended ? " (ended)" : ""}`);
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
    const bitmap = await decodePicture(frame);
    this.masks.paint(frame.size, frame.objects, view.colours, view.hidden, null);
    this.copy(frame.stream, bitmap, this.masks.canvas);
    bitmap.close();
  }

  // Show what is drawn elsewhere, small.
  copy(number, picture, masks) {
    const tile = this.tiles.get(number);
    if (!tile || this.row.hidden) return;
    const factor = Math.min(1, TILE_SIDE / Math.max(picture.width, picture.height));
    const [width, height] = [Math.round(picture.width * factor), Math.round(picture.height * factor)];
    Object.assign(tile.canvas, { width, height });
    const context = tile.canvas.getContext("2d");
    for (const layer of [picture, masks]) context.drawImage(layer, 0, 0, width, height);
  }
}
