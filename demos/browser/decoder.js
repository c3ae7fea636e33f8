// The mask decoder, in a worker of its own so that the page stays awake.
//
// Takes {scene} once and answers {ready}; then {id, points} and answers {id, logits, score, milliseconds}.
// points: [{x, y, label}], x and y from 0 to 1 of the image, label 1 where the object is and 0 where it is not.
import * as ort from "./ort.wasm.min.mjs";

const PADDING = -1; // the label of the point that follows every set of clicks and is none
ort.env.wasm.numThreads = self.crossOriginIsolated ? navigator.hardwareConcurrency : 1;

let scene, session, features, low;

async function load(described) {
  scene = described;
  low = scene.inputs.mask_prompt.slice(2);
  const externalData = scene.weights.map((path) => ({ path, data: path }));
  const opened = ort.InferenceSession.create(scene.graph, { executionProviders: ["wasm"], externalData });
  const fetched = Object.entries(scene.features).map(async ([name, shape]) => {
    const answer = await fetch(`${name}.bin`);
    return [name, new ort.Tensor("float32", new Float32Array(await answer.arrayBuffer()), shape)];
  });
  features = Object.fromEntries(await Promise.all(fetched));
  session = await opened;
}

function feeds(points) {
  const [rows, columns] = scene.covered;
  const coords = [...points.flatMap(({ x, y }) => [x * columns, y * rows]), 0, 0];
  const labels = [...points.map(({ label }) => BigInt(label)), BigInt(PADDING)];
  const one = (value) => new ort.Tensor("float32", [value], [1]);
  const every = {
    ...features,
    point_coords: new ort.Tensor("float32", coords, [1, labels.length, 2]),
    point_labels: new ort.Tensor("int64", labels, [1, labels.length]),
    mask_prompt: new ort.Tensor("float32", new Float32Array(low[0] * low[1]), [1, 1, ...low]),
    has_mask: one(0),
    multimask: one(1),
    memoryless: one(1),
  };
  return Object.fromEntries(Object.keys(scene.inputs).map((name) => [name, every[name]]));
}

// The best of three masks for an ambiguous prompt, otherwise the single mask unless it is unstable.
function choose(masks, ious, count) {
  const { multimask_min_points, multimask_max_points, stability_delta, stability_threshold } = scene.prompting;
  const area = low[0] * low[1];
  const best = ious.slice(1).reduce((found, iou, n) => (iou > ious[found] ? n + 1 : found), 1);
  const above = (edge) => masks.subarray(0, area).reduce((sum, logit) => sum + (logit > edge), 0);
  const ambiguous = multimask_min_points <= count && count <= multimask_max_points;
  const outer = above(-stability_delta);
  const unstable = outer > 0 && above(stability_delta) / outer < stability_threshold;
  const taken = ambiguous || unstable ? best : 0;
  return { logits: masks.slice(taken * area, (taken + 1) * area), score: ious[taken] };
}

self.onmessage = async ({ data }) => {
  if (data.scene) {
    await load(data.scene);
    self.postMessage({ ready: true, threads: ort.env.wasm.numThreads });
    return;
  }
  const start = performance.now();
  const fetches = ["candidate_masks", "candidate_ious"];
  const found = await session.run(feeds(data.points), fetches);
  const milliseconds = performance.now() - start;
  const { logits, score } = choose(found.candidate_masks.data, found.candidate_ious.data, data.points.length);
  self.postMessage({ id: data.id, logits, score, milliseconds }, [logits.buffer]);
};
