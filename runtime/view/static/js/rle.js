// Masks as COCO RLE: runs down the columns, the first of zeros, in six-bit letters (pycocotools' maskApi.c).

export function runsOf(counts) {
  const runs = [];
  let value = 0, shift = 0;
  for (let n = 0; n < counts.length; n++) {
    const bits = counts.charCodeAt(n) - 48;
    value += (bits & 31) * 2 ** shift;
    shift += 5;
    if (bits & 32) continue;
    if (bits & 16) value -= 2 ** shift;
    if (runs.length > 2) value += runs[runs.length - 2];
    runs.push(value);
    value = shift = 0;
  }
  return runs;
}

// [width * height] bytes down the columns: 1 where the mask is.
export function decode({ size: [height, width], counts }) {
  const mask = new Uint8Array(width * height);
  let at = 0, value = 0;
  for (const run of runsOf(counts)) {
    if (value) mask.fill(1, at, at + run);
    at += run;
    value = 1 - value;
  }
  return mask;
}

// The reverse, of a mask down the columns.
export function encode(mask, height, width) {
  const runs = [];
  let value = 0, start = 0;
  for (let n = 0; n <= mask.length; n++) {
    if (n < mask.length && mask[n] === value) continue;
    runs.push(n - start);
    start = n;
    value = 1 - value;
  }
  let counts = "";
  runs.forEach((run, n) => {
    let left = n > 2 ? run - runs[n - 2] : run;
    for (let more = true; more; ) {
      let bits = left & 31;
      left >>= 5;
      more = bits & 16 ? left !== -1 : left !== 0;
      if (more) bits |= 32;
      counts += String.fromCharCode(bits + 48);
    }
  });
  return { size: [height, width], counts };
}
