// Mask logits to a picture of the mask.
const INSIDE = 0x78ff8438, EDGE = 0xffff8438; // colours: alpha, blue, green, red

// logits: of the model's input, low[0] x low[1]; side: height and width of that. Returns the mask in the image's pixels,
// 1 and 0. An image that covers the square in part is cut out of it at the square's own size, as SAM does.
export function enlarge(logits, low, { side, covered, fit }, height, width) {
  const cut = covered.map((length, n) => (length * low[n]) / side[n]);
  const large = fit === "stretch"
    ? resize(logits, low, low, [height, width])
    : resize(resize(logits, low, cut, covered), covered, covered, [height, width]);
  const mask = new Uint8Array(large.length);
  for (let n = 0; n < mask.length; n++) mask[n] = large[n] > 0;
  return mask;
}

// Bilinear, corners not aligned: the first `span` of a map of `size`, rows and columns, becomes a map of `wanted`.
function resize(map, [rows, columns], span, [height, width]) {
  const [down, across] = [axis(height, span[0], rows), axis(width, span[1], columns)];
  const resized = new Float32Array(height * width);
  const mixed = new Float32Array(columns);
  for (let y = 0, n = 0; y < height; y++) {
    const [above, below, share] = [down.first[y] * columns, down.second[y] * columns, down.share[y]];
    for (let c = 0; c < columns; c++) mixed[c] = map[above + c] + (map[below + c] - map[above + c]) * share;
    for (let x = 0; x < width; x++, n++) {
      const left = mixed[across.first[x]];
      resized[n] = left + (mixed[across.second[x]] - left) * across.share[x];
    }
  }
  return resized;
}

// For each of `length` pixels, the two of `last` low ones between which it lies and the second one's share.
function axis(length, span, last) {
  const first = new Int32Array(length), second = new Int32Array(length), share = new Float32Array(length);
  for (let n = 0; n < length; n++) {
    const place = Math.max(0, ((n + 0.5) * span) / length - 0.5);
    first[n] = Math.min(Math.floor(place), last - 1);
    second[n] = Math.min(first[n] + 1, last - 1);
    share[n] = place - first[n];
  }
  return { first, second, share };
}

// Draw a mask, tinted and with an edge around it; pixels outside it stay transparent.
export function paint(canvas, mask) {
  const { width, height } = canvas;
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let y = 0, n = 0; y < height; y++) {
    for (let x = 0; x < width; x++, n++) {
      if (!mask[n]) continue;
      const inner = x > 0 && x < width - 1 && y > 0 && y < height - 1;
      const whole = inner && mask[n - 1] && mask[n + 1] && mask[n - width] && mask[n + width];
      pixels[n] = whole ? INSIDE : EDGE;
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
