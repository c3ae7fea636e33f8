"""A camera that runs for long: does memory grow, does a frame come out of order, do the counters add up?

    python profiles/benchmarks/soak.py BUNDLE [--frames 20000] [--rate 30] [--lose-every 2000] [--write]

A looped clip of 320 x 240 pixels comes as a camera's would, at its own rate, through the capture thread (newest frame
first), one tracker, and a writer of masks, with the state saved every ten seconds. One object stays; others join and
leave every hundred frames, each under a new id. The camera is lost every --lose-every frames, and every 333rd of
its frames is corrupt. Ends with 1 where something is wrong; memory is judged from 10,000 frames on.
"""

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from masklet.profiles.machine.device import conditions, device
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompts import Points, Prompt
from masklet.runtime.results import Frame
from masklet.runtime.sinks.json_lines import MasksJsonl
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.sources.live import LiveSource, LostError, Picture
from masklet.runtime.sources.source import U8, Cut
from masklet.runtime.streams.counters import Counts
from masklet.runtime.streams.frame_queue import Policy
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.stream import Keeping, Stream
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.tracking.video_tracker import PendingResult, VideoTracker

WIDTH, HEIGHT, LOOP = 320, 240, 90
CORRUPT_EVERY = 333
SAMPLE_EVERY = 500
WARMUP = 2000  # frames until windows, pools and arenas have their size
JUDGED_FROM = 10_000
LIMIT_MB = 1.0  # of growth in 10,000 frames


def clip() -> list[U8]:
    """Two discs that go round on a smooth background, once in LOOP frames."""
    rng = np.random.default_rng(0)
    background = cv2.resize(rng.uniform(0, 255, (6, 8, 3)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    images = []
    for turn in np.linspace(0, 2 * np.pi, LOOP, endpoint=False):
        image = np.clip(background, 0, 255).astype(np.uint8)
        for phase, colour in ((0.0, (230, 40, 60)), (np.pi, (30, 200, 220))):
            x, y = 160 + 90 * np.cos(turn + phase), 120 + 60 * np.sin(turn + phase)
            cv2.circle(image, (round(x), round(y)), 28, colour, -1)
        images.append(image)
    return images


class LoopedCamera:
    """Sends the clip at its rate, and is lost every so many frames. sent: by all of its connections."""

    sent = 0
    about = "a loop"

    def __init__(self, images: list[U8], rate: float, frames: int, lose_every: int) -> None:
        if LoopedCamera.sent >= frames:
            raise LostError("camera: it is gone for good")
        self.rate = rate
        self._images, self._frames, self._lose_every = images, frames, lose_every
        self._lost_at = LoopedCamera.sent + lose_every

    def read(self) -> Picture | None:
        if LoopedCamera.sent in (self._lost_at, self._frames):
            raise LostError("camera: it is gone")
        time.sleep(1 / self.rate)
        number, LoopedCamera.sent = LoopedCamera.sent, LoopedCamera.sent + 1
        corrupt = number % CORRUPT_EVERY == CORRUPT_EVERY - 1
        return None if corrupt else Picture(self._images[number % LOOP].copy(), None)

    def close(self) -> None:
        """Nothing is held."""


class ComingAndGoing(VideoTracker):
    """Object 1 stays; from the 20th to the 70th of every hundred frames there is another, under a new id."""

    joined = left = 0

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[PendingResult]:
        cycle, phase = divmod(frame.index, 100)
        guest, here = cycle + 2, self.object_ids
        given: dict[int, Prompt] = {} if 1 in here else {1: Points.click(250, 120)}
        if 20 <= phase < 70 and guest not in here:
            given[guest] = Points.click(100, 100)
            self.joined += 1
        for gone in [i for i in here if i != 1 and (i != guest or phase >= 70)]:
            self.remove(gone)
            self.left += 1
        return super().advance(frame, given)


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def growth_mb(samples: list[tuple[int, float]]) -> float | None:
    """Megabytes in 10,000 frames, by a straight line through what was sampled after the warm-up; None if too short."""
    if samples[-1][0] < JUDGED_FROM:
        return None
    frames, mb = np.array([sample for sample in samples if sample[0] >= WARMUP]).T
    return float(np.polyfit(frames, mb, 1)[0] * 10_000)


def wrong(stream: Stream, masks: Path, sent: int) -> list[str]:
    """What is not as it should be."""
    counts, found = stream.counts, [] if stream.error is None else [str(stream.error)]
    if counts.captured != counts.processed + counts.dropped + counts.corrupt or counts.captured != sent:
        found.append(f"counters do not add up: {counts}, and the camera sent {sent}")
    written = [json.loads(line)["frame"] for line in masks.read_text().splitlines()]
    if len(written) != counts.processed or any(a >= b for a, b in pairwise(written)):
        found.append(f"{len(written)} lines for {counts.processed} frames, or out of order")
    return found


def report(given: argparse.Namespace, counts: Counts, tracker: ComingAndGoing, samples: list[tuple[int, float]]) -> str:
    here, load, growth = device(), conditions().load_average, growth_mb(samples)
    shown = [samples[round(i)] for i in np.linspace(0, len(samples) - 1, min(11, len(samples)))]
    return "\n".join(
        [
            "# Soak: a camera that runs for long",
            "",
            f"{datetime.date.today().isoformat()}, {here.board or here.cpu}, {here.cores} cores shared with other work "
            f"(load {load[0] if load else 'unknown'}), one thread a stage. `python profiles/benchmarks/soak.py BUNDLE "
            f"--frames {given.frames} --rate {given.rate:g} --lose-every {given.lose_every} --write`",
            "",
            "| captured | processed | dropped | corrupt | reconnects | joined | left | RSS growth in 10,000 frames |",
            "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            f"| {counts.captured} | {counts.processed} | {counts.dropped} | {counts.corrupt} | {counts.reconnects} | "
            f"{tracker.joined} | {tracker.left} | {'too short to say' if growth is None else f'{growth:.2f} MB'} |",
            "",
            "captured = processed + dropped + corrupt, and what the camera sent; every line of masks in order.",
            "",
            "| captured | RSS, MB |",
            "| ---: | ---: |",
            *(f"| {frames} | {mb:.1f} |" for frames, mb in shown),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=30.0)
    parser.add_argument("--lose-every", type=int, default=2000)
    parser.add_argument("--write", action="store_true", help="write the report beside this script")
    given = parser.parse_args()
    images, bundle, wake_up = clip(), Bundle.load(given.bundle), WakeUp()
    samples: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as scratch, Sessions.open(bundle, OnnxRuntime(1)) as sessions:
        masks, tracker = Path(scratch) / "masks.jsonl", ComingAndGoing(sessions)
        source = LiveSource("camera", lambda: LoopedCamera(images, given.rate, given.frames, given.lose_every), Cut())
        stream = Stream(
            1,
            source,
            tracker,
            PromptBook({}, exact=False),
            Sinks([MasksJsonl(masks)]),
            Policy.NEWEST,
            wake_up,
            keeping=Keeping(Path(scratch) / "state", 10.0, "soak", "camera"),
        )
        runner = Runner([stream], wake_up)
        runner.start()
        while LoopedCamera.sent < given.frames:
            runner.wait(0.02)
            if stream.counts.captured >= len(samples) * SAMPLE_EVERY:
                samples.append((stream.counts.captured, resident_mb()))
        runner.wait(0.5)
        runner.stop()
        runner.wait()
        samples.append((stream.counts.captured, resident_mb()))
        faults = wrong(stream, masks, given.frames)
    growth = growth_mb(samples)
    if growth is not None and growth > LIMIT_MB:
        faults.append(f"RSS grew by {growth:.2f} MB in 10,000 frames, more than {LIMIT_MB:g}")
    text = report(given, stream.counts, tracker, samples)
    print(text)
    if given.write:
        Path(__file__).with_suffix(".md").write_text(text)
    sys.exit("; ".join(faults) or 0)


if __name__ == "__main__":
    main()
