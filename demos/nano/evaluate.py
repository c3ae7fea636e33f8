"""Judge a checkpoint on held-out scenes, as a user would run it: exported, by the runtime, without torch.

    python demos/nano/evaluate.py --scenes cluttered --clips 20 --json figures.json

Prints J, F and J&F (DAVIS) over visible objects after the first frame, J of the clicked first frame, of a
boxed one, false positives while an object is absent, recoveries, speed; the baselines on the same clips; and
what a correction click on each clip's worst frame does for the rest of it.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from baselines import BASELINES, Start
from clicks import Point, box, centre_click, correction
from masklet.calibration.scoring.accuracy import region_similarity
from masklet.runtime import Box, Bundle, Frame, MaskletError, Points, Sessions, VideoTracker
from masklet.runtime.backends.ort.backend import OnnxRuntime
from numpy.typing import NDArray
from scenes import Clip, held_out
from scoring import Figures, Track, figures

Masks = NDArray[np.bool_]
CHECKPOINT = Path(__file__).parent / "checkpoint"
FRAME_S = 0.1
WORTH_A_CLICK = 100
"""Visible pixels of an object below which no frame is corrected: a click on a sliver says little about the rest."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """Mean J of the frames after a correction, without it and with it."""

    before: float
    after: float


def _frames(clip: Clip) -> list[Frame]:
    return [Frame(index, index * FRAME_S, picture) for index, picture in enumerate(clip.frames)]


def _click(point: Point, positive: bool = True) -> Points:
    return Points.click(*point, positive=positive)


def _box(clip: Clip, label: int) -> Box:
    (left, top), (right, bottom) = box(clip.labels[0] == label)
    return Box(left, top, right, bottom)


def _clicks(clip: Clip) -> dict[int, Points]:
    return {label: _click(centre_click(clip.labels[0] == label)) for label in clip.ids}


def follow(sessions: Sessions, clip: Clip) -> tuple[list[Track], float]:
    """Track every object of a clip from one click each; the tracks and the seconds it took."""
    tracker, found = VideoTracker(sessions), []
    frames, prompts = _frames(clip), _clicks(clip)
    begun = time.perf_counter()
    for frame in frames:
        found.append(tracker.step(frame, prompts if frame.index == 0 else {}).masks)
    spent = time.perf_counter() - begun
    masks = np.stack(found, axis=1)
    return [Track(masks[row], clip.labels == label) for row, label in enumerate(clip.ids)], spent


def boxed_first(sessions: Sessions, clip: Clip) -> list[float]:
    """J of the first frame with a box on each object."""
    tracker = VideoTracker(sessions)
    result = tracker.step(_frames(clip)[0], {label: _box(clip, label) for label in clip.ids})
    pairs = zip(result.masks, clip.ids, strict=True)
    return [region_similarity(mask, clip.labels[0] == label) for mask, label in pairs]


def corrected(sessions: Sessions, clip: Clip, tracks: Sequence[Track]) -> Corrected | None:
    """Click once into the error of the clip's worst frame and see what it does for the rest of the clip.

    None where the clip has no such frame: too little visible after the first, or nothing after the worst.
    """
    scored = [
        (region_similarity(track.found[frame], track.true[frame]), frame, row)
        for row, track in enumerate(tracks)
        for frame in track.later()[:-1]
        if track.true[frame].sum() >= WORTH_A_CLICK
    ]
    if not scored:
        return None
    _, worst, row = min(scored)
    track, label = tracks[row], clip.ids[row]
    point, positive = correction(track.found[worst], track.true[worst])
    tracker, after = VideoTracker(sessions), []
    prompts = _clicks(clip)
    rest = {frame for frame in track.later() if frame > worst}
    for frame in _frames(clip):
        result = tracker.step(frame, prompts if frame.index == 0 else {})
        if frame.index == worst:
            tracker.refine(label, _click(point, bool(positive)))
        elif frame.index in rest:
            after.append(region_similarity(result.masks[row], track.true[frame.index]))
    before = [region_similarity(track.found[frame], track.true[frame]) for frame in sorted(rest)]
    return Corrected(float(np.mean(before)), float(np.mean(after)))


def baseline_figures(clips: Sequence[Clip]) -> dict[str, Figures]:
    """Score the baselines on clips."""
    scores = {}
    for name, baseline in BASELINES.items():
        tracks, begun = [], time.perf_counter()
        for clip in clips:
            for label in clip.ids:
                true = clip.labels == label
                found = np.stack(list(baseline(Start.of(clip.frames[0], true[0]), clip.frames)))
                tracks.append(Track(found, true))
        frames = sum(len(clip.frames) for clip in clips)
        scores[name] = figures(tracks, frames / (time.perf_counter() - begun))
    return scores


def _row(name: str, scored: Figures, boxes: float | None = None) -> str:
    cells = [scored.J, scored.F, scored.JF, scored.J_first, boxes]
    cells += [scored.absent_false_positive_rate, scored.recovery_rate]
    shown = ["    -" if cell is None or np.isnan(cell) else f"{cell:5.3f}" for cell in cells]
    return f"{name:<20}" + "".join(f"{cell:>9}" for cell in shown) + f"{scored.fps:9.1f}"


@contextmanager
def opened(checkpoint: Path, threads: int | None) -> Iterator[Sessions]:
    """Sessions of a bundle, or of a checkpoint that is exported for the occasion.

    threads: of ONNX Runtime; 1 measures fastest on a busy machine, the default on a quiet one.
    """
    with tempfile.TemporaryDirectory() as folder:
        bundle = checkpoint
        if not (checkpoint / "manifest.json").exists():
            from masklet.export.pipeline import export_bundle

            bundle = Path(folder) / "nano.bundle"
            export_bundle(str(checkpoint), bundle)
        sessions = Sessions.open(Bundle.load(bundle), OnnxRuntime(threads))
        try:
            yield sessions
        finally:
            sessions.close()


def evaluate(sessions: Sessions, kind: str, clips: int, size: int, frames: int) -> tuple[Figures, list[str]]:
    """Run a model and the baselines on held-out clips; its figures and the lines of the table."""
    scenes = list(held_out(kind, clips, size, frames))
    tracks: list[Track] = []
    boxes: list[float] = []
    mended: list[Corrected] = []
    seconds = 0.0
    boxed_first(sessions, scenes[0])  # the first calls of a session are slower
    for clip in scenes:
        found, spent = follow(sessions, clip)
        tracks += found
        seconds += spent
        boxes += boxed_first(sessions, clip)
        if (pair := corrected(sessions, clip, found)) is not None:
            mended.append(pair)
    scored = figures(tracks, clips * frames / seconds)
    titles = ("J", "F", "J&F", "J first", "J box", "absent", "recovery", "fps")
    lines = [f"{kind}: {clips} held-out clips of {frames} frames, {size} px, 2 objects, one click each", ""]
    lines += [" " * 20 + "".join(f"{title:>9}" for title in titles)]
    lines += [_row("nano", scored, float(np.mean(boxes)))]
    lines += [_row(name, row) for name, row in baseline_figures(scenes).items()]
    before, after = np.mean([pair.before for pair in mended]), np.mean([pair.after for pair in mended])
    helped = sum(pair.after > pair.before for pair in mended)
    lines += ["", f"one correction click on the worst frame of {len(mended)} clips: J of the rest"]
    lines[-1] += f" {before:.3f} -> {after:.3f}, better in {helped}"
    return scored, lines


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, print the table, write the JSON."""
    parser = argparse.ArgumentParser(prog="evaluate.py", description=__doc__)
    parser.add_argument("checkpoint", type=Path, nargs="?", default=CHECKPOINT, help="a checkpoint or a bundle")
    parser.add_argument("--scenes", default="cluttered", help="plain, cluttered or rich")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--size", type=int, default=128, help="edge of the scenes in pixels")
    parser.add_argument("--threads", type=int, help="of ONNX Runtime; its own choice if absent")
    parser.add_argument("--json", type=Path, help="file for the figures")
    chosen = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    try:
        with opened(chosen.checkpoint, chosen.threads) as sessions:
            scored, lines = evaluate(sessions, chosen.scenes, chosen.clips, chosen.size, chosen.frames)
        print("\n".join(lines))
        if chosen.json is not None:
            chosen.json.write_text(json.dumps(scored.as_json(), indent=2) + "\n")
    except (ValueError, OSError, MaskletError) as error:
        print(f"evaluate.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
