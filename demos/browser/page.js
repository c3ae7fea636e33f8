// The page: clicks go to the decoder's worker, its masks come back and are drawn.
import { enlarge, paint } from "./mask.js";

const [stage, image, mask, clicks, status] = ["stage", "image", "mask", "clicks", "status"].map((id) =>
  document.getElementById(id));
const RADIUS = 6; // of a click's mark, in pixels of the screen
const scene = await (await fetch("scene.json")).json();
const low = scene.inputs.mask_prompt.slice(2);
const decoder = new Worker("decoder.js", { type: "module" });

let points = []; // clicks so far, {x, y, label} with x and y from 0 to 1
let pending = null; // what is to be decoded next: only the newest counts
let running = null; // what is being decoded

await show();
decoder.onerror = (event) => { status.value = `the decoder cannot run: ${event.message}`; };
decoder.onmessage = ({ data }) => (data.ready ? listen(data.threads) : draw(data));
decoder.postMessage({ scene });

async function show() {
  const picture = new Image();
  picture.src = "image.png";
  await picture.decode();
  const { naturalWidth: width, naturalHeight: height } = picture;
  for (const canvas of [image, mask]) Object.assign(canvas, { width, height });
  clicks.setAttribute("viewBox", `0 0 ${width} ${height}`);
  stage.style.aspectRatio = `${width} / ${height}`;
  stage.style.width = `min(100%, calc((100vh - 6rem) * ${width / height}))`;
  image.getContext("2d").drawImage(picture, 0, 0);
}

function listen(threads) {
  status.value = `ready, ${threads} thread${threads > 1 ? "s" : ""}`;
  stage.onpointerdown = (event) => {
    if (event.button !== 0 && event.button !== 2) return;
    points.push(place(event, event.button === 2 || event.shiftKey ? 0 : 1));
    ask(points, false);
  };
  stage.oncontextmenu = (event) => event.preventDefault();
  stage.onpointermove = (event) => { if (!points.length) ask([place(event, 1)], true); };
  stage.onpointerleave = () => { if (!points.length) clear(); };
  document.onkeydown = (event) => {
    if (event.key === "Escape" || points.length === 1 && event.key === "z") clear();
    else if (event.key === "z" && points.length) ask(points = points.slice(0, -1), false);
  };
}

function place(event, label) {
  const { left, top, width, height } = stage.getBoundingClientRect();
  return { x: (event.clientX - left) / width, y: (event.clientY - top) / height, label };
}

function clear() {
  [points, pending] = [[], null];
  mask.getContext("2d").clearRect(0, 0, mask.width, mask.height);
  mark();
  status.value = "ready";
  delete status.dataset.clicks;
}

function ask(wanted, preview) {
  pending = { id: performance.now(), points: [...wanted], preview };
  mark();
  next();
}

function next() {
  if (running || !pending) return;
  [running, pending] = [pending, null];
  decoder.postMessage({ id: running.id, points: running.points });
}

function draw({ id, logits, score, milliseconds }) {
  const done = running;
  running = null;
  const wanted = done.preview ? points.length === 0 : points.length > 0;
  if (wanted) {
    paint(mask, enlarge(logits, low, scene, mask.height, mask.width));
    mask.className = done.preview ? "preview" : "";
    const whole = performance.now() - id;
    status.value = `score ${score.toFixed(2)}, ${milliseconds.toFixed(0)} ms decoder, ${whole.toFixed(0)} ms to the mask`;
    Object.assign(status.dataset, { clicks: done.preview ? 0 : done.points.length, milliseconds, whole });
  }
  next();
}

function mark() {
  const r = RADIUS * mask.width / stage.clientWidth;
  clicks.replaceChildren(...points.map(({ x, y, label }) => {
    const circle = document.createElementNS(clicks.namespaceURI, "circle");
    for (const [name, value] of Object.entries({ cx: x * mask.width, cy: y * mask.height, r }))
      circle.setAttribute(name, value);
    circle.classList.toggle("add", label === 1);
    return circle;
  }));
}
