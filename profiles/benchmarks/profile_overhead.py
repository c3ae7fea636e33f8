"""What profiling itself costs: frames through the plain pipeline and through the recorded one, in turns.

    python profiles/benchmarks/profile_overhead.py BUNDLE SOURCE --point 480,270 [--frames 600] [--write]

Three figures. Apart: microseconds that the recorder takes for a frame, measured with sessions that do nothing, so that
no other noise hides it. Together: one tracker whose sessions, source and sink are recorded on every other frame; the
median of the differences of neighbouring frames, of which now the one and now the other comes first, with a bootstrap
interval. Sampled: what reading the machine's state once a second takes of the processor, in a thread of its own.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
from masklet.profiles.machine.device import conditions, device
from masklet.profiles.machine.sampler import Sampler
from masklet.profiles.recording.timeline import Recorder
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds, Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.prompts.syntax import parse_prompts
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sources.opening import open_source
from masklet.runtime.tracking.video_tracker import VideoTracker

NOTHING_FRAMES = 20_000
SAMPLES = 500
RESAMPLES = 2000


class Nothing:
    """A session and a sink that do nothing."""

    def __init__(self, spec: StageSpec) -> None:
        self.spec = spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        return {}

    def close(self) -> None:
        pass

    def write(self, frame: Frame, result: FrameResult) -> None:
        pass


def apart_us(bundle: Bundle) -> float:
    """Microseconds of the recorder for a tracked frame of one object: four calls, source and sink."""
    names = ("image_encoder", "memory_attention", "mask_decoder", "memory_encoder")
    frame = Frame(0, 0.0, np.zeros((8, 8, 3), np.uint8))
    empty = np.zeros(0, np.int64), np.zeros((0, 8, 8), bool), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    result = FrameResult(0, 0.0, *empty)
    inner = [Nothing(bundle.model.stage(name)) for name in names]
    sizes = {"objects": 1, "memories": 7, "pointers": 16, "points": 2}
    feeds = {s.spec.name: {t.name: np.empty(t.sized(sizes), t.dtype) for t in s.spec.inputs} for s in inner}
    recorder = Recorder()
    wrapped = [recorder.wrap(session) for session in inner]

    def passes(source: Iterator[Frame], recorded: bool) -> float:
        sink = recorder.sink(inner[0]) if recorded else inner[0]
        began = time.thread_time()
        for given in source:
            for session in wrapped if recorded else inner:
                session.run(feeds[session.spec.name])
            sink.write(given, result)
        return time.thread_time() - began

    frames = [frame] * NOTHING_FRAMES
    pairs = [passes(recorder.frames(frames), True) - passes(iter(frames), False) for _ in range(5)]
    return statistics.median(pairs) / NOTHING_FRAMES * 1e6


def sample_us() -> float:
    """Microseconds of the processor for a sample of the machine's state."""
    with Sampler() as sampler:
        began = time.thread_time()
        for _ in range(SAMPLES):
            sampler.take()
        return (time.thread_time() - began) / SAMPLES * 1e6


class Switch:
    """A session that is recorded while `on`, and plain otherwise: one tracker for both, with the same memory."""

    on = False

    def __init__(self, plain: Session, recorded: Session) -> None:
        self.spec = plain.spec
        self._plain, self._recorded = plain, recorded

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        return (self._recorded if Switch.on else self._plain).run(feeds)

    def close(self) -> None:
        self._plain.close()


def together_ms(bundle: Bundle, frames: list[Frame], prompts: dict[int, Prompt], pairs: int) -> tuple[list[float], ...]:
    """Milliseconds of the plain and of the recorded frame of each pair.

    Of the processor, not of the clock on the wall: stages run on this one thread, and others' work does not count.
    """
    recorder, backend = Recorder(), OnnxRuntime(1)
    opened = {stage.name: backend.open(bundle, stage) for stage in bundle.model.stages}
    switches = {name: Switch(session, recorder.wrap(session)) for name, session in opened.items()}
    tracker = VideoTracker(Sessions(bundle.model, switches))
    nowhere = Nothing(bundle.model.stages[0])
    source = cycle(frames)
    sinks, sources = (nowhere, recorder.sink(nowhere)), (source, recorder.frames(source))
    taken: tuple[list[float], list[float]] = ([], [])
    tracker.step(next(source), prompts)
    for pair in range(pairs):
        for recorded in (False, True) if pair % 2 else (True, False):
            Switch.on = recorded
            began = time.thread_time()
            frame = next(sources[recorded])
            sinks[recorded].write(frame, tracker.step(frame))
            taken[recorded].append((time.thread_time() - began) * 1e3)
    return taken


def interval(differences: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(differences, (RESAMPLES, len(differences)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5)).tolist()
    return low, high


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("source")
    parser.add_argument("--point", required=True, help="a click on frame 0: X,Y")
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--write", action="store_true", help="write the table beside this script")
    given = parser.parse_args()
    bundle = Bundle.load(given.bundle)
    prompts = parse_prompts(points=[given.point], negatives=(), boxes=(), masks=())[0]
    with open_source(given.source, end=60, max_side=480) as source:
        frames = list(source)
    alone = apart_us(bundle)
    plain, recorded = (np.array(ms[8:]) for ms in together_ms(bundle, frames, prompts, given.frames // 2 + 8))
    frame, low_high = float(np.median(plain)), interval(recorded - plain)
    sample = sample_us()
    difference = float(np.median(recorded - plain))
    here, load = device(), conditions().load_average
    lines = [
        "# What profiling costs",
        "",
        f"{datetime.date.today().isoformat()}, {here.board or here.cpu}, {here.cores} cores, one thread a stage, load "
        f"{load[0] if load else 'unknown'}. {bundle.model.family} {bundle.model.variant} at "
        f"{bundle.model.preprocess.side} px, one object, 7 memory frames, "
        f"{given.frames} frames. `python profiles/benchmarks/profile_overhead.py BUNDLE SOURCE --point X,Y --write`",
        "",
        "| figure | value | of a frame |",
        "| --- | ---: | ---: |",
        f"| a frame, plain, median | {frame:.2f} ms | 100 % |",
        f"| the recorder apart, sessions that do nothing | {alone:.1f} µs | {alone / frame / 10:.2f} % |",
        f"| recorded less plain, median of pairs | {difference * 1e3:.0f} µs | {difference / frame:.2%} |",
        f"| its 95 % interval | {low_high[0] * 1e3:.0f} to {low_high[1] * 1e3:.0f} µs | "
        f"{low_high[0] / frame:.2%} to {low_high[1] / frame:.2%} |",
        f"| a sample of the machine, once a second | {sample:.0f} µs | {sample / 1e4:.2f} % of a second |",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if given.write:
        Path(__file__).with_suffix(".md").write_text(text)


if __name__ == "__main__":
    main()
