"""What running beside the sessions gains, and what several streams cost.

    python profiles/benchmarks/feeds.py [BUNDLE SOURCE --point 480,270] [--frames 60] [--rounds 5] [--write]

Without a bundle and a source it exports a random nano model and draws a clip of 960 x 540 pixels.

Overlap: the sequential loop (decode, track, write, one after the other) against a stream whose capture, upsampling
and sinks run beside the tracker, one thread a stage; they take turns, and ratios are medians of the rounds'. Seconds
of the clock say what was gained here and now, also where others use the machine. Processor seconds say what idle
cores would give: the loop's thread does everything in turn, the tracker's thread only its part, and all threads
together have so many cores. Four streams: processor seconds inside the sessions, against one stream's.
"""

import argparse
import datetime
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from masklet.profiles.machine.device import conditions, device
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.prompts.syntax import parse_prompts
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sinks.overlay_video import OverlayVideo
from masklet.runtime.sources.opening import open_source
from masklet.runtime.streams.follow import follow
from masklet.runtime.streams.frame_queue import Policy
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.stream import Stream
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.tracking.video_tracker import VideoTracker

STREAMS = 4
CORES = 2


class Spent(SessionAround):
    """A session that sums up the processor seconds of its thread; one thread a stage, so that is all of them."""

    seconds = 0.0

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        began = time.thread_time()
        found = super().run(feeds)
        Spent.seconds += time.thread_time() - began
        return found


class TimedRunner(Runner):
    """A runner that knows the processor seconds of its thread."""

    seconds = 0.0

    def _run(self) -> None:
        super()._run()
        self.seconds = time.thread_time()


@dataclass(frozen=True)
class Took:
    """Seconds of a run: by the clock, of the processor in the tracker's thread, and in all threads."""

    clock: float
    tracker: float
    everything: float

    @property
    def on_idle_cores(self) -> float:
        """Seconds that it would take at least where every core is its own."""
        return max(self.tracker, self.everything / CORES)


class Runs:
    """The same frames, prompts and outputs, run in one way or the other."""

    def __init__(self, sessions: Sessions, source: str, schedule: Schedule, frames: int, folder: Path) -> None:
        self._sessions, self._source, self._schedule = sessions, source, schedule
        self._frames, self._folder = frames, folder

    def sequential(self) -> float:
        """Returns the processor seconds of the thread that does it all."""
        began = time.thread_time()
        with open_source(self._source, end=self._frames) as source, self._outputs(0).open(source.fps) as sinks:
            for frame, result in follow(VideoTracker(self._sessions), source, self._schedule):
                sinks.write(frame, result)
        return time.thread_time() - began

    def overlapped(self, streams: int = 1) -> float:
        """Returns the processor seconds of the thread that has the sessions."""
        wake_up = WakeUp()
        made = [self._stream(n, wake_up) for n in range(streams)]
        runner = TimedRunner(made, wake_up)
        runner.start()
        runner.wait()
        for stream in made:
            if stream.error is not None:
                raise stream.error
        return runner.seconds

    def _stream(self, number: int, wake_up: WakeUp) -> Stream:
        source = open_source(self._source, end=self._frames)
        tracker, prompts = VideoTracker(self._sessions), PromptBook(self._schedule, exact=True)
        sinks = self._outputs(number).open(source.fps)
        return Stream(number + 1, source, tracker, prompts, sinks, Policy.EVERY, wake_up)

    def _outputs(self, number: int) -> Outputs:
        return Outputs({"overlay": self._folder / f"{number}.mp4", "masks": self._folder / f"{number}.jsonl"})


def exported(folder: Path) -> Path:
    """The bundle of a random nano model."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
    from checkpoints import nano_config, random_model, save_checkpoint
    from masklet.export.pipeline import export_bundle

    export_bundle(str(save_checkpoint(random_model(nano_config()), folder / "nano")), folder / "nano.bundle")
    return folder / "nano.bundle"


def drawn(path: Path, frames: int) -> Path:
    """A disc that goes round on a smooth background."""
    rng = np.random.default_rng(0)
    background = cv2.resize(rng.uniform(0, 255, (9, 16, 3)), (960, 540), interpolation=cv2.INTER_CUBIC)
    nothing = (
        np.zeros(0, np.int64),
        np.zeros((0, 540, 960), bool),
        np.zeros((0, 4), np.float32),
        np.zeros(0, np.float32),
    )
    with OverlayVideo(path, 30) as video:
        for n in range(frames):
            image = np.clip(background, 0, 255).astype(np.uint8)
            x, y = 480 + 200 * np.sin(n / 20), 270 + 100 * np.sin(n / 15)
            cv2.circle(image, (round(x), round(y)), 70, (230, 40, 60), -1)
            video.write(Frame(n, n / 30, image), FrameResult(n, n / 30, *nothing))
    return path


def took(run: Callable[[], float]) -> Took:
    clock, everything = time.perf_counter(), time.process_time()
    tracker = run()
    return Took(time.perf_counter() - clock, tracker, time.process_time() - everything)


def session_seconds(run: Callable[[], float]) -> float:
    before = Spent.seconds
    run()
    return Spent.seconds - before


def row(
    name: str, rounds: list[tuple[Took, Took]], figure: Callable[[Took], float], frames: int, wanted: str = ""
) -> str:
    """A line of the table: medians a frame of both, and the median of their ratios."""
    before, after = (statistics.median(figure(pair[n]) for pair in rounds) * 1e3 / frames for n in (0, 1))
    ratio = statistics.median(figure(a) / figure(b) for a, b in rounds)
    return f"| {name} | {before:.1f} | {after:.1f} | {ratio:.2f} | {wanted} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("source", nargs="?")
    parser.add_argument("--point", default="480,270", help="a click on frame 0: X,Y")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="write the table beside this script")
    given = parser.parse_args()
    schedule = parse_prompts(points=[given.point], negatives=(), boxes=(), masks=())
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bundle = Bundle.load(given.bundle or exported(scratch))
        source = given.source or str(drawn(scratch / "clip.mp4", given.frames))
        sessions = stack.enter_context(Sessions.open(bundle, OnnxRuntime(1), Spent))
        runs = Runs(sessions, source, schedule, given.frames, scratch)
        runs.sequential()
        rounds = [(took(runs.sequential), took(runs.overlapped)) for _ in range(given.rounds)]
        costs = [
            (session_seconds(runs.overlapped), session_seconds(lambda: runs.overlapped(STREAMS)))
            for _ in range(max(1, given.rounds // 2))
        ]
    alone, four = (statistics.median(column) for column in zip(*costs, strict=True))
    cost = statistics.median(b / a for a, b in costs)
    here, load = device(), conditions().load_average
    text = "\n".join(
        [
            "# Feeds: overlap, and several streams",
            "",
            f"{datetime.date.today().isoformat()}, {here.board or here.cpu}, {here.cores} cores, load "
            f"{load[0] if load else 'unknown'}, one thread a stage. {bundle.model.family} {bundle.model.variant} at "
            f"{bundle.model.preprocess.side} px, one object, {given.frames} frames, {given.rounds} rounds in turns, "
            "medians; overlay video and masks are written. "
            f"`python profiles/benchmarks/feeds.py --rounds {given.rounds} --write`",
            "",
            "| one stream | one after the other | beside the sessions | ratio | wanted |",
            "| --- | ---: | ---: | ---: | ---: |",
            row("ms a frame, by the clock", rounds, lambda run: run.clock, given.frames),
            row("processor ms a frame, the tracker's thread", rounds, lambda run: run.tracker, given.frames),
            row("processor ms a frame, all threads", rounds, lambda run: run.everything, given.frames),
            row(f"so, on {CORES} idle cores, ms a frame", rounds, lambda run: run.on_idle_cores, given.frames, "1.15"),
            "",
            "| figure | 1 stream | 4 streams | ratio | wanted |",
            "| --- | ---: | ---: | ---: | ---: |",
            f"| processor seconds in the sessions | {alone:.2f} | {four:.2f} | {cost:.2f} | at most 4.1 |",
            "",
        ]
    )
    print(text)
    if given.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
