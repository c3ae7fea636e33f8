// The page of a clip that is annotated: a timeline to scrub, prompts on any frame, tracking both ways.

import { call, download, fetchBytes } from "./api.js";
import { $, element, icon, say } from "./dom.js";
import { StageChart } from "./chart.js";
import { notice, problem } from "./notices.js";
import { Page } from "./page.js";
import { chip, showFacts, showName } from "./readings.js";
import { Connection, parseFrame } from "./socket.js";
import { TimelineView, meanJ } from "./timeline.js";

const FAR = 10; // frames that Shift and an arrow go

export class Annotate extends Page {
  constructor() {
    super(["add", "negative", "box", "brush", "eraser"]);
    this.clip = null;
    this.position = 0;
    this.following = null; // the number of the work whose frames are shown as they are found
    this.along = new Map();
    this.chart = new StageChart();
    this.timeline = new TimelineView({ frame: (position) => this.go(position, true) });
    $("timeline-panel").hidden = false;
    this.buildDeck();
    this.bindKeys();
    this.connection = new Connection({
      state: (clip) => this.show(clip),
      frame: () => {},
      down: (why) => (chip("not connected", "failed"), problem(why)),
      ended: () => (chip("closed", ""), notice("The annotation was closed. It is saved.")),
    });
  }

  get known() {
    if (!this.clip) return [];
    const records = new Map((this.stage.frame?.objects ?? []).map((one) => [one.id, one]));
    return this.clip.objects.map((one) => ({ ...one, ...this.standing(one, records.get(one.id)), phrase: null }));
  }

  // What the list says of an object on the frame that is shown.
  standing(one, record) {
    if (!record) return { visible: false, about: "no mask here yet", lost: false };
    const j = this.along.get(one.id)?.j?.[this.position];
    const agreement = j == null ? "" : ` · J ${j.toFixed(2)}`;
    if (!record.bbox[2]) return { visible: false, about: `not in sight${agreement}`, lost: true };
    return { visible: true, about: `score ${record.score.toFixed(2)}${agreement}`, lost: false };
  }

  get index() {
    return this.indexOf(this.position);
  }

  indexOf(position) {
    const [first, , step] = this.clip.frames;
    return first + position * step;
  }

  positionOf(index) {
    const [first, , step] = this.clip.frames;
    return Math.round((index - first) / step);
  }

  get count() {
    return this.clip.frames[1];
  }

  async show(clip) {
    const before = this.clip;
    this.clip = clip;
    const follows = this.following !== null && clip.works >= this.following; // the user began this work, and watches it
    if (follows && !clip.work) this.following = null;
    if (!before) await this.draw();
    const changed = before?.version !== clip.version || JSON.stringify(before?.objects) !== JSON.stringify(clip.objects);
    if (changed) {
      await this.reload();
      this.refresh();
    }
    if (follows && clip.reached !== null) this.go(this.positionOf(clip.reached));
    else if (changed && before) await this.draw();
    this.showDeck();
    this.showReadings();
    this.chart.show(clip.metrics.stages);
  }

  // Fetch the timeline, once at a time.
  async reload() {
    if (this.reloading) return;
    this.reloading = true;
    try {
      const { objects } = await call("GET", "/api/clip/timeline");
      this.along = new Map(objects.map((one) => [one.id, one]));
    } catch (error) {
      problem(error);
    } finally {
      this.reloading = false;
    }
  }

  // Show a frame. by: whether the user went there, who is then followed rather than the tracking.
  go(position, byUser = false) {
    const within = Math.min(Math.max(position, 0), this.count - 1);
    if (byUser) this.following = null;
    if (within === this.position && this.stage.frame) return;
    this.position = within;
    this.tools.cancel();
    this.showTimeline();
    return this.draw();
  }

  // Fetch and draw the frame that is chosen; only the last one that was chosen is waited for.
  async draw() {
    if (this.drawing) return void (this.again = true);
    this.drawing = true;
    do {
      this.again = false;
      const wanted = this.index;
      try {
        const bytes = await fetchBytes(`/api/clip/frames/${wanted}/picture/${this.stage.side}`);
        await this.stage.show(parseFrame(bytes), this.view());
      } catch (error) {
        problem(error);
      }
    } while (this.again);
    this.drawing = false;
    this.refresh();
  }

  refresh() {
    super.refresh();
    if (this.clip) {
      this.showTimeline();
      this.fresh.disabled = this.selected === null;
    }
  }

  showTimeline() {
    const prompted = new Map(this.clip.objects.map((one) => [one.id, one.prompted.map((index) => this.positionOf(index))]));
    const label = (position) => String(this.indexOf(position));
    this.timeline.show({ objects: this.clip.objects, along: this.along, prompted, count: this.count, at: this.position, label });
    say($("frame"), `${this.index} / ${this.indexOf(this.count - 1)}`);
  }

  async prompt(body, done = () => {}, id = this.selected) {
    const index = this.index;
    this.following = null;
    const path = `/api/clip/frames/${index}/objects${id === null ? "" : `/${id}/prompts`}`;
    const answer = await this.ask("POST", path, body);
    done();
    if (!answer) return;
    this.selected = answer.object;
    notice(`${id === null ? "Added" : "Corrected"} object ${answer.object} on frame ${answer.frame}`);
    this.show(await call("GET", "/api/clip"));
  }

  async change(method, path, said, body) {
    if (await this.ask(method, path, body)) {
      notice(said);
      this.show(await call("GET", "/api/clip"));
    }
  }

  rename(id, name) {
    return this.change("PATCH", `/api/clip/objects/${id}`, `Object ${id} is called ${name || "nothing"}`, { name });
  }

  remove(id) {
    return this.change("DELETE", `/api/clip/objects/${id}`, `Removed object ${id}; Undo brings it back`);
  }

  undo() {
    return this.change("POST", "/api/clip/undo", "Undone");
  }

  takeBack() {
    if (this.selected === null) return problem("No object is selected: select the one whose prompts on this frame are to go");
    return this.change("DELETE", `/api/clip/frames/${this.index}/objects/${this.selected}/prompts`, `Took back what object ${this.selected} was given here`);
  }

  async track(direction) {
    const answer = await this.ask("POST", "/api/clip/track", { direction });
    if (answer) this.following = answer.work;
  }

  stop() {
    return this.ask("POST", "/api/clip/stop");
  }

  // To the nearest frame with a prompt, before this one or after it.
  toPrompt(direction) {
    const positions = this.clip.objects.flatMap((one) => one.prompted).map((index) => this.positionOf(index));
    const there = positions.filter((position) => direction * (position - this.position) > 0);
    if (there.length) this.go(direction > 0 ? Math.min(...there) : Math.max(...there), true);
  }

  play() {
    this.playing = !this.playing;
    this.showDeck();
    const next = async () => {
      if (!this.playing || this.position >= this.count - 1) {
        this.playing = false;
        return this.showDeck();
      }
      const began = performance.now();
      await this.go(this.position + 1, true);
      setTimeout(next, Math.max(0, 1000 / this.clip.fps - (performance.now() - began)));
    };
    next();
  }

  buildDeck() {
    const button = (name, text, title, onclick) => element("button", { type: "button", title, onclick }, icon(name), text ? element("span", {}, text) : "");
    this.playButton = button("play", "Play", "Play, or stop playing (Space)", () => this.play());
    this.back = button("track-back", "Track back", "Track backwards, to the beginning (Y)", () => this.track("backwards"));
    this.forth = button("track", "Track on", "Track forwards, to the end (T)", () => this.track("forwards"));
    this.stopButton = button("stop", "Stop", "Stop tracking; what was found stays", () => this.stop());
    $("going").append(
      button("first", "", "To the prompt before (Page up)", () => this.toPrompt(-1)),
      button("back", "", "One frame back (,)", () => this.go(this.position - 1, true)),
      this.playButton,
      button("step", "", "One frame further (.)", () => this.go(this.position + 1, true)),
      button("last", "", "To the next prompt (Page down)", () => this.toPrompt(1)),
      element("span", { className: "gap" }),
      this.back,
      this.forth,
      this.stopButton,
    );
    this.fresh = button("new", "New object", "Let the next click add an object (N)", () => this.select(null));
    this.undoButton = button("undo", "Undo", "Undo the last change (Z)", () => this.undo());
    const prompts = () => download("/api/clip/prompts", "prompts.json").catch(problem);
    $("actions").append(this.fresh, this.undoButton, button("download", "Prompts", "Download prompts.json, which masklet run --prompts takes", prompts));
  }

  showDeck() {
    const { work, missing, can_undo } = this.clip;
    this.playButton.querySelector("use").setAttribute("href", this.playing ? "#i-pause" : "#i-play");
    say(this.playButton.querySelector("span"), this.playing ? "Pause" : "Play");
    this.back.disabled = Boolean(work) || !missing.backwards;
    this.forth.disabled = Boolean(work) || !missing.forwards;
    this.stopButton.disabled = !work;
    this.undoButton.disabled = !can_undo;
    $("progress").hidden = !work;
    if (!work) return;
    Object.assign($("progress"), { max: work.total, value: work.done });
  }

  showReadings() {
    const { clip } = this;
    showName(clip.name, "masklet annotate");
    const { work } = clip;
    if (work) chip(`${work.what}, ${work.frames_per_s.toFixed(1)} frames/s`, "held");
    else chip(clip.saved ? "saved" : "saving", clip.saved ? "live" : "");
    const mean = meanJ(this.along);
    $("agreement").hidden = mean === null;
    say($("j"), mean === null ? "" : mean.toFixed(3));
    showFacts([
      ["model", clip.metrics.model],
      ["backend", clip.metrics.backend],
      ["picture", `${clip.size[0]} × ${clip.size[1]}`],
      ["frames", `${clip.frames[1]} at ${clip.fps.toFixed(1)} a second`],
      ["to track forwards", String(clip.missing.forwards)],
      ["to track backwards", String(clip.missing.backwards)],
      ["memory", `${Math.round(clip.metrics.memory_mb)} MB`],
      ["saved in", clip.folder],
    ]);
  }

  bindKeys() {
    const by = (frames) => () => this.clip && this.go(this.position + frames, true);
    this.keys.add(".", "One frame further; with Shift, ten", by(1));
    this.keys.add(",", "One frame back; with Shift, ten", by(-1));
    this.keys.add(":", "", by(FAR));
    this.keys.add(">", "", by(FAR));
    this.keys.add(";", "", by(-FAR));
    this.keys.add("<", "", by(-FAR));
    this.keys.add("Home", "To the first frame", () => this.go(0, true));
    this.keys.add("End", "To the last frame", () => this.go(this.count - 1, true));
    this.keys.add("PageUp", "To the prompt before", () => this.toPrompt(-1));
    this.keys.add("PageDown", "To the next prompt", () => this.toPrompt(1));
    this.keys.add(" ", "Play, or stop playing", () => this.play());
    this.keys.add("t", "Track forwards, to the end", () => this.track("forwards"));
    this.keys.add("y", "Track backwards, to the beginning", () => this.track("backwards"));
    this.keys.add("u", "Take back what the selected object was given on this frame", () => this.takeBack());
    $("timeline").addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) (event.preventDefault(), this.go(this.position + step * (event.shiftKey ? FAR : 1), true));
    });
    this.endKeys();
  }
}
