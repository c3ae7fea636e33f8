// The page of running streams.

import { call, download } from "./api.js";
import { $, element, iconButton, say } from "./dom.js";
import { Keys } from "./keys.js";
import { notice, problem } from "./notices.js";
import { ObjectList } from "./objects.js";
import { Playback } from "./playback.js";
import { chip, showReadings } from "./readings.js";
import { Connection } from "./socket.js";
import { Stage } from "./stage.js";
import { StageChart } from "./chart.js";
import { TILE_SIDE, Tiles } from "./tiles.js";
import { TOOLS, Tools } from "./tools.js";

export class Live {
  constructor() {
    this.streams = new Map();
    this.chosen = null;
    this.selected = null;
    this.hidden = new Map(); // stream to the ids whose masks are hidden
    this.stage = new Stage({ label: (id) => this.select(id) });
    this.objects = new ObjectList({
      select: (id) => this.select(id),
      hide: (id) => this.hide(id),
      rename: (id, name) => this.send("PATCH", `objects/${id}`, { name }),
      remove: (id) => this.remove(id),
    });
    this.tools = new Tools(this.stage, {
      click: (at, positive) => this.click(at, positive),
      box: (corners) => this.prompt({ box: corners }, this.stage.markBox(corners)),
      mask: (mask) => this.prompt({ mask }),
      exemplar: (corners, positive) => this.addExemplar(corners, positive),
      tool: () => this.showTarget(),
    });
    this.playback = new Playback({
      pause: () => this.play({ paused: !this.stream.paused }),
      step: () => this.play({ step: 1 }),
      realTime: () => this.play({ real_time: !this.stream.real_time }),
      undo: () => this.undo(),
      snapshot: () => this.snapshot(),
      fresh: () => this.select(null),
    });
    this.tiles = new Tiles({ choose: (number) => this.choose(number) });
    this.chart = new StageChart();
    this.exemplars = [];
    this.phrases = [];
    $("phrase-form").addEventListener("submit", (event) => this.addPhrase(event));
    this.bindKeys();
    this.connection = new Connection({
      state: (state) => this.show(state),
      frame: (frame) => this.draw(frame),
      down: (why) => (chip("not connected", "failed"), problem(why)),
      ended: () => (chip("the run is over", ""), notice("The run is over. What it wrote is complete.")),
    });
    addEventListener("resize", () => this.watch());
  }

  get stream() {
    return this.streams.get(this.chosen);
  }

  // What drawing needs to know of the chosen stream's objects, or of another's.
  view(number = this.chosen) {
    const objects = this.streams.get(number)?.objects ?? [];
    const byId = new Map(objects.map((one) => [one.id, one]));
    return {
      colours: new Map(objects.map((one) => [one.id, one.colour])),
      hidden: this.hidden.get(number) ?? new Set(),
      selected: number === this.chosen ? this.selected : null,
      nameOf: (id) => byId.get(id)?.name || (byId.get(id)?.phrase ? `${byId.get(id).phrase} ${id}` : `Object ${id}`),
    };
  }

  show({ streams, metrics }) {
    this.streams = new Map(streams.map((one) => [one.number, one]));
    if (!this.streams.has(this.chosen)) this.choose(streams[0].number);
    const { stream } = this;
    if (this.selected !== null && !stream.objects.some((one) => one.id === this.selected)) this.selected = null;
    const view = this.view();
    showReadings(stream, metrics);
    this.objects.show(stream.objects, view);
    this.playback.show(stream, this.selected);
    this.tiles.show(streams, this.chosen);
    this.chart.show(metrics.stages);
    this.tools.offerExemplars(stream.phrases !== null);
    this.showPhrases(stream.phrases);
    this.showTarget();
    const known = JSON.stringify(stream.objects.map((one) => [one.id, one.name]));
    if (known !== this.known) this.stage.redraw(view);
    this.known = known;
  }

  async draw(frame) {
    try {
      if (frame.stream === this.chosen) {
        this.tellObjects(frame);
        await this.stage.show(frame, this.view());
      } else await this.tiles.draw(frame, this.view(frame.stream));
    } finally {
      this.connection.next();
    }
  }

  // Colours of objects that the state has not told of yet.
  tellObjects(frame) {
    const { stream } = this;
    if (stream && frame.objects.some((one) => !stream.objects.some((known) => known.id === one.id))) this.refreshSoon = true;
  }

  choose(number) {
    this.chosen = number;
    this.selected = null;
    this.tools.cancel();
    this.stage.labels.replaceChildren();
    this.watch();
  }

  // Tell masklet which streams to send, and how large.
  watch() {
    if (this.chosen === null) return;
    const wanted = {};
    for (const number of this.streams.keys()) wanted[number] = number === this.chosen ? this.stage.side : TILE_SIDE;
    if (JSON.stringify(wanted) !== JSON.stringify(this.connection.wanted)) this.connection.show(wanted);
  }

  select(id) {
    this.selected = id;
    this.refresh();
  }

  hide(id) {
    const hidden = this.hidden.get(this.chosen) ?? new Set();
    if (!hidden.delete(id)) hidden.add(id);
    this.hidden.set(this.chosen, hidden);
    this.refresh();
  }

  refresh() {
    const view = this.view();
    this.objects.show(this.stream?.objects ?? [], view);
    this.stage.redraw(view);
    this.showTarget();
    if (this.stream) this.playback.show(this.stream, this.selected);
  }

  showTarget() {
    const target = $("target");
    const tool = TOOLS.find((one) => one.id === this.tools?.tool);
    if (!tool || !this.stream) return;
    const one = this.stream.objects.find((each) => each.id === this.selected);
    const text = one ? `${tool.name}: corrects ` : tool.id === "negative" ? "Not this: click into the mask to correct" : `${tool.name}: adds a new object`;
    const key = `${text}${one?.id}${one?.name}`;
    if (target.dataset.key === key) return;
    target.dataset.key = key;
    target.replaceChildren(text);
    if (!one) return;
    const dot = element("span", { className: "dot" });
    dot.style.background = one.colour;
    target.append(dot, element("b", {}, this.view().nameOf(one.id)));
  }

  path(rest) {
    return `/api/streams/${this.chosen}/${rest}`;
  }

  async send(method, rest, body) {
    try {
      return await call(method, this.path(rest), body);
    } catch (error) {
      problem(error);
      return null;
    }
  }

  click(at, positive) {
    let id = this.selected;
    if (!positive && id === null) {
      [id = null] = this.stage.objectsAt(at);
      if (id === null) return problem("No object is selected, and none is there: select the one that this does not belong to");
    }
    return this.prompt({ points: [at], labels: [Number(positive)] }, this.stage.markClick(at, positive), id);
  }

  // Give a prompt to an object, a new one where id is null.
  async prompt(body, done = () => {}, id = this.selected) {
    const seen = this.stage.frame?.frame;
    const answer = await this.send("POST", id === null ? "objects" : `objects/${id}/prompts`, body);
    done();
    if (!answer) return;
    this.selected = answer.object;
    const late = answer.frame - seen;
    notice(`${id === null ? "Added" : "Corrected"} object ${answer.object} on frame ${answer.frame}${late > 0 ? `, ${late} after the one you saw` : ""}`);
  }

  async remove(id) {
    const answer = await this.send("DELETE", `objects/${id}`);
    if (answer) notice(`Removed object ${id} from frame ${answer.frame} on; Undo brings it back`);
  }

  async undo() {
    const answer = await this.send("POST", "undo");
    if (answer) notice(`Undone for object ${answer.object}, from frame ${answer.frame} on`);
  }

  async play(body) {
    await this.send("PUT", "playback", body);
  }

  async snapshot() {
    const frame = this.stage.frame?.frame;
    try {
      await download(this.path("snapshot"), `masklet-${this.chosen}-${frame}.zip`);
    } catch (error) {
      problem(error);
    }
  }

  showPhrases(phrases) {
    $("phrases-panel").hidden = phrases === null;
    if (phrases === null || String(phrases) === String(this.phrases)) return;
    this.phrases = phrases;
    const tag = (phrase) =>
      element("li", {}, phrase, iconButton("remove", `Look for ${phrase} no more`, () => this.setPhrases(phrases.filter((one) => one !== phrase)), { className: "plain" }));
    $("phrases").replaceChildren(...phrases.map(tag));
  }

  addPhrase(event) {
    event.preventDefault();
    const phrase = $("phrase").value.trim();
    if (!phrase) return;
    $("phrase").value = "";
    this.setPhrases([...this.phrases.filter((one) => one !== "exemplars"), phrase]);
  }

  addExemplar(corners, positive) {
    this.exemplars.push({ box: corners, positive });
    const done = this.stage.markBox(corners, !positive);
    this.setPhrases(this.phrases.filter((one) => one !== "exemplars").slice(0, 1), this.exemplars).then(done);
  }

  async setPhrases(phrases, exemplars = []) {
    if (!exemplars.length) this.exemplars = [];
    const body = { phrases: phrases.filter((one) => one !== "exemplars"), exemplars };
    const answer = await this.send("PUT", "phrases", body);
    if (answer) notice(phrases.length || exemplars.length ? `Looking from frame ${answer.frame} on` : "Tracking what is clicked, and no phrase");
  }

  bindKeys() {
    const keys = new Keys();
    for (const tool of TOOLS) keys.add(tool.key, tool.does, () => this.tools.choose(tool.id));
    keys.add("n", "New object: the next click adds one", () => this.select(null));
    keys.add("z", "Undo the last prompt or removal", () => this.undo());
    keys.add(" ", "Pause a file, or go on", () => this.stream?.paused !== null && this.play({ paused: !this.stream.paused }));
    keys.add(".", "One frame further", () => this.stream?.paused !== null && this.play({ step: 1 }));
    keys.add("r", "Real time, or as fast as it is tracked", () => this.stream?.paused !== null && this.play({ real_time: !this.stream.real_time }));
    keys.add("s", "Snapshot: picture, masks and prompts", () => this.snapshot());
    keys.add("h", "Hide the masks, or show them", () => $("masks").classList.toggle("off"));
    keys.add("Delete", "Stop tracking the selected object", () => this.selected !== null && this.remove(this.selected));
    keys.add("Escape", "Cancel what was begun; then no object is selected", () => this.tools.cancel() || this.select(null));
    for (let n = 1; n <= 9; n++) keys.add(String(n), n === 1 ? "to 9: choose a stream" : "", () => this.streams.has(n) && this.choose(n));
    for (const [key, does] of [["Arrows", "On the picture: move a crosshair, ten times as fast with Shift"], ["Enter", "On the picture: use the tool at the crosshair; with Shift, as the right button"]])
      $("keys").append(element("dt", {}, element("kbd", {}, key)), element("dd", {}, does));
  }
}
