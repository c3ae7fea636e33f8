"""What the host does in a frame outside of the sessions: one object, 960x540, hiera-tiny of real size.

    python profiles/benchmarks/host.py [--bundle BUNDLE] [--frames N] [--write]

The sessions really run, so that the host's arrays are as cold in the caches as in use. Frames until the memory bank is
full are left out; figures are medians. Without a bundle it draws a random hiera-tiny and exports it first. --write
keeps the table in host.md beside this file.
"""

import argparse
import datetime
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from masklet.profiles.machine.device import device
from masklet.profiles.recording.phases import HOST, host_ns, totals
from masklet.profiles.recording.timeline import FrameTimes, Recorder
from masklet.runtime import Bundle, Frame, FrameResult, Points, Sessions, VideoTracker
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.streams.follow import follow

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from checkpoints import SIZES, random_model, sam2_config, save_checkpoint  # noqa: E402

WIDTH, HEIGHT = 960, 540
WHAT = {
    "preprocess": "960x540 to 1024x1024, uint8",
    "bank": "memories gathered and kept, decoder feeds, holes filled",
    "postprocess": "256x256 logits to a boolean mask of 960x540, its box",
}


class Nowhere:
    """A sink that takes results and keeps nothing."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take a result."""


def record(bundle: Bundle, frames: int) -> list[FrameTimes]:
    """Track one object and return the frames at which the memory bank is full."""
    memory = bundle.model.memory
    warm = 1 + (memory.recent_frames if memory else 0)
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(4)]
    source = [Frame(t, t / 30, pictures[t % 4]) for t in range(warm + frames)]
    recorder = Recorder()
    with Sessions.open(bundle, wrap=recorder.wrap) as sessions:
        sink = recorder.sink(Nowhere())
        for frame, result in follow(VideoTracker(sessions), recorder.frames(source), {0: {1: Points.click(480, 270)}}):
            sink.write(frame, result)
    return recorder.frames_recorded[warm:]


class Checked:
    """A session that checks what it is fed, and computes nothing."""

    def __init__(self, spec: StageSpec) -> None:
        self.spec = spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self.spec.check(feeds)
        return {}

    def close(self) -> None:
        """Nothing is held."""


def checks_us(bundle: Bundle, rounds: int = 2000) -> float:
    """Microseconds that matching feeds with the declaration takes, a call of every stage; the median round."""
    stages = bundle.model.stages
    sessions = Sessions(bundle.model, {stage.name: Checked(stage) for stage in stages})
    feeds = {}
    for stage in stages:
        sizes = dict.fromkeys(stage.symbols(), 1)
        feeds[stage.name] = {t.name: np.zeros(t.sized(sizes), t.dtype) for t in stage.inputs}
    took = []
    for _ in range(rounds):
        began = time.perf_counter_ns()
        for name, given in feeds.items():
            sessions.run(name, given)
        took.append(time.perf_counter_ns() - began)
    return statistics.median(took) / 1e3


def report(frames: list[FrameTimes], checks: float) -> str:
    """The table, with what is needed to repeat it. checks: microseconds of `checks_us`."""
    rows = {name: statistics.median(totals(f).get(name, 0) for f in frames) / 1e6 for name in HOST}
    whole = statistics.median(host_ns(f) for f in frames) / 1e6
    frame_ms = statistics.median(f.capture_to_mask_ns for f in frames) / 1e6
    here = device()
    lines = [
        "# Host time of a frame",
        "",
        f"{datetime.date.today().isoformat()}, {here.cpu}, {here.cores} cores. SAM 2.1 hiera-tiny, random weights, one "
        f"object, bank full, {WIDTH}x{HEIGHT}, median of {len(frames)} frames. "
        "`python profiles/benchmarks/host.py --write`",
        "",
        "| phase | ms | what |",
        "| --- | ---: | --- |",
        *(f"| {name} | {ms:.2f} | {WHAT[name]} |" for name, ms in rows.items()),
        f"| **host** | **{whole:.2f}** | {100 * whole / frame_ms:.2f} % of a frame of {frame_ms:.0f} ms |",
        "",
        f"Matching the feeds of the five stages with their declaration takes {checks:.0f} us, most of it in `bank`.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bundle = given.bundle
        if bundle is None:
            from masklet.export.pipeline import export_bundle

            bundle = Path(scratch) / "tiny.bundle"
            checkpoint = save_checkpoint(random_model(sam2_config(SIZES["tiny"])), Path(scratch) / "tiny")
            export_bundle(str(checkpoint), bundle)
        loaded = Bundle.load(bundle)
        text = report(record(loaded, given.frames), checks_us(loaded))
    print(text)
    if given.write:
        (HERE / "host.md").write_text(text)


if __name__ == "__main__":
    main()
