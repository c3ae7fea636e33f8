// The page of running streams.

import { download } from "./api.js";
import { $, element, iconButton } from "./dom.js";
import { notice, problem } from "./notices.js";
import { Page } from "./page.js";
import { Playback } from "./playback.js";
import { chip, showReadings } from "./readings.js";
import { Connection } from "./socket.js";
import { StageChart } from "./chart.js";
import { TILE_SIDE, Tiles } from "./tiles.js";

const EXEMPLARS = "exemplars"; // what masklet calls a concept without a phrase

export class Live extends Page {
  constructor() {
    super(["add", "negative", "box", "brush", "eraser", "exemplar"]);
    this.streams = new Map();
    this.chosen = null;
    this.exemplars = [];
    this.phrases = [];
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

  get known() {
    return this.stream?.objects ?? [];
  }

  show({ streams, metrics }) {
    this.streams = new Map(streams.map((one) => [one.number, one]));
    if (!this.streams.has(this.chosen)) this.choose(streams[0].number);
    const { stream } = this;
    showReadings(stream, metrics);
    this.tiles.show(streams, this.chosen);
    this.chart.show(metrics.stages);
    this.tools.offer("exemplar", stream.phrases !== null);
    this.showPhrases(stream.phrases);
    this.objects.show(this.known, this.view());
    this.playback.show(stream, this.selected);
    const names = JSON.stringify(this.known.map((one) => [one.id, one.name]));
    if (names !== this.names) this.refresh();
    this.names = names;
  }

  refresh() {
    super.refresh();
    if (this.stream) this.playback.show(this.stream, this.selected);
  }

  async draw(frame) {
    try {
      if (frame.stream === this.chosen) {
        await this.stage.show(frame, this.view());
        this.tiles.copy(frame.stream, $("picture"), $("masks"));
      } else await this.tiles.draw(frame, this.view(this.streams.get(frame.stream)?.objects ?? [], null, new Set()));
    } finally {
      this.connection.next();
    }
  }

  choose(number) {
    this.chosen = number;
    this.selected = null;
    this.hidden = new Set();
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

  path(rest) {
    return `/api/streams/${this.chosen}/${rest}`;
  }

  // Give a prompt to an object, a new one where id is null.
  async prompt(body, done = () => {}, id = this.selected) {
    const seen = this.stage.frame?.frame;
    const answer = await this.ask("POST", this.path(id === null ? "objects" : `objects/${id}/prompts`), body);
    done();
    if (!answer) return;
    this.selected = answer.object;
    const late = answer.frame - seen;
    const what = id === null ? "Added" : "Corrected";
    notice(`${what} object ${answer.object} on frame ${answer.frame}${late > 0 ? `, ${late} after the one you saw` : ""}`);
  }

  rename(id, name) {
    return this.ask("PATCH", this.path(`objects/${id}`), { name });
  }

  async remove(id) {
    const answer = await this.ask("DELETE", this.path(`objects/${id}`));
    if (answer) notice(`Removed object ${id} from frame ${answer.frame} on; Undo brings it back`);
  }

  async undo() {
    const answer = await this.ask("POST", this.path("undo"));
    if (answer) notice(`Undone for object ${answer.object}, from frame ${answer.frame} on`);
  }

  play(body) {
    return this.ask("PUT", this.path("playback"), body);
  }

  async snapshot() {
    try {
      await download(this.path("snapshot"), `masklet-${this.chosen}-${this.stage.frame?.frame}.zip`);
    } catch (error) {
      problem(error);
    }
  }

  showPhrases(phrases) {
    $("phrases-panel").hidden = phrases === null;
    if (phrases === null || String(phrases) === String(this.phrases)) return;
    this.phrases = phrases;
    const without = (phrase) => this.setPhrases(phrases.filter((one) => one !== phrase));
    const tag = (phrase) =>
      element("li", {}, phrase, iconButton("remove", `Look for ${phrase} no more`, () => without(phrase), { className: "plain" }));
    $("phrases").replaceChildren(...phrases.map(tag));
  }

  addPhrase(event) {
    event.preventDefault();
    const phrase = $("phrase").value.trim();
    $("phrase").value = "";
    if (phrase) this.setPhrases([...this.phrases, phrase]);
  }

  exemplar(corners, positive) {
    this.exemplars.push({ box: corners, positive });
    this.setPhrases(this.phrases.slice(0, 1), this.exemplars).then(this.stage.markBox(corners, !positive));
  }

  async setPhrases(phrases, exemplars = []) {
    if (!exemplars.length) this.exemplars = [];
    const body = { phrases: phrases.filter((one) => one !== EXEMPLARS), exemplars };
    const answer = await this.ask("PUT", this.path("phrases"), body);
    if (!answer) return;
    const any = body.phrases.length || exemplars.length;
    notice(any ? `Looking from frame ${answer.frame} on` : "Tracking what is clicked, and looking for no phrase");
  }

  bindKeys() {
    const file = (run) => () => this.stream?.paused != null && run();
    this.keys.add(" ", "Pause a file, or go on", file(() => this.play({ paused: !this.stream.paused })));
    this.keys.add(".", "One frame further", file(() => this.play({ step: 1 })));
    this.keys.add("r", "Real time, or as fast as it is tracked", file(() => this.play({ real_time: !this.stream.real_time })));
    this.keys.add("s", "Snapshot: picture, masks and prompts", () => this.snapshot());
    for (let n = 1; n <= 9; n++) this.keys.add(String(n), n === 1 ? "to 9: choose a stream" : "", () => this.streams.has(n) && this.choose(n));
    this.endKeys();
  }
}
