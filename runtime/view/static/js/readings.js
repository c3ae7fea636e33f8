// The figures of a run: in the header, and as a list.

import { $, element, say, shortName } from "./dom.js";

export function showReadings(stream, metrics) {
  showName(stream.name, "masklet");
  say($("frame"), stream.frame === null ? "–" : stream.frames ? `${stream.frame} / ${stream.frames - 1}` : String(stream.frame));
  say($("rate"), stream.frames_per_s ? stream.frames_per_s.toFixed(1) : "–");
  const waits = stream.paused !== null; // a file's frames wait their turn, which is no latency
  say($("latency"), stream.latency_ms === null || waits ? "–" : `${Math.round(stream.latency_ms)} ms`);
  say($("dropped"), String(stream.dropped));
  showChip(stream);
  showFacts([
    ["model", metrics.model],
    ["backend", metrics.backend],
    ["picture", `${stream.size[0]} × ${stream.size[1]}`],
    ["frames", `${stream.processed} of ${stream.captured}`],
    ["dropped", String(stream.dropped)],
    ["corrupt", String(stream.corrupt)],
    ["reconnects", String(stream.reconnects)],
    ["memory", `${Math.round(metrics.memory_mb)} MB`],
    ["viewers", String(metrics.viewers)],
  ]);
}

export function showName(name, what) {
  say($("source"), shortName(name));
  $("source").title = name;
  document.title = `${shortName(name)} – ${what}`;
}

export function showChip(stream) {
  const [text, kind] = stream.error
    ? [`failed: ${stream.error}`, "failed"]
    : stream.ended
      ? ["ended", ""]
      : stream.paused
        ? ["paused", "held"]
        : stream.silent_s > 2
          ? [`no frame for ${Math.round(stream.silent_s)} s`, "held"]
          : ["live", "live"];
  chip(text, kind);
}

export function chip(text, kind) {
  say($("chip"), text);
  $("chip").className = `chip ${kind}`;
}

export function showFacts(facts) {
  const list = $("facts");
  if (list.childElementCount !== 2 * facts.length)
    list.replaceChildren(...facts.flatMap(([name]) => [element("dt", {}, name), element("dd")]));
  facts.forEach(([, value], n) => say(list.children[2 * n + 1], value));
}
