// Buttons below the picture: pausing and stepping a file, undo, a snapshot.

import { $, element, icon } from "./dom.js";

export class Playback {
  // on.pause(), on.step(), on.realTime(), on.undo(), on.snapshot(), on.fresh()
  constructor(on) {
    const button = (name, text, title, run) =>
      element("button", { type: "button", title, onclick: run }, icon(name), element("span", {}, text));
    this.pause = button("pause", "Pause", "Pause or go on (Space)", on.pause);
    this.step = button("step", "Step", "One frame further (.)", on.step);
    this.realTime = button("clock", "Real time", "Play at the file's own rate, rather than as fast as it is tracked (R)", on.realTime);
    $("playback").append(this.pause, this.step, this.realTime);
    this.fresh = button("new", "New object", "Let the next click add an object (N)", on.fresh);
    this.undo = button("undo", "Undo", "Undo the last prompt or removal (Z)", on.undo);
    this.snapshot = button("camera", "Snapshot", "Download picture, masks and prompts (S)", on.snapshot);
    $("actions").append(this.fresh, this.undo, this.snapshot);
  }

  show(stream, selected) {
    $("playback").hidden = stream.paused === null;
    this.pause.querySelector("use").setAttribute("href", stream.paused ? "#i-play" : "#i-pause");
    this.pause.querySelector("span").textContent = stream.paused ? "Play" : "Pause";
    this.realTime.setAttribute("aria-pressed", String(Boolean(stream.real_time)));
    for (const one of [this.pause, this.step, this.realTime, this.undo]) one.disabled = stream.ended;
    this.undo.disabled = stream.ended || !stream.can_undo;
    this.fresh.disabled = selected === null;
    this.snapshot.disabled = stream.frame === null;
  }
}
