"""Memory policies on held-out scenes: what each finds, loses, finds again, and takes another thing for.

    masklet export demos/nano/checkpoint -o nano.bundle --image-size 256 --candidate-pointers
    python profiles/benchmarks/memory.py nano.bundle --json memory.json [--clips 40] [--scenes distractors absence ...]
    python profiles/benchmarks/memory.py nano.bundle --strip memory.jpg

The policies follow the same clip side by side, from the true masks of the first frame (as in DAVIS and DiDi), and share
what the image encoder says of a frame. The JSON is written after every clip; a run with a file that is there goes on
from it. --dev takes other seeds, for those who look for a better policy.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from masklet.calibration.diagnosis.transformations.transformation import Transformation
from masklet.calibration.diagnosis.transformations.true_clip import TrueClip
from masklet.calibration.scoring.accuracy import accuracy
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.prompts.prompts import Mask
from masklet.runtime.results import Frame
from masklet.runtime.tracking.video_tracker import VideoTracker

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "demos" / "nano"))

from hard_scenes import AFTER_ABSENCE, BEFORE_ABSENCE  # noqa: E402
from scenes import HELD_OUT_SEED, Clip, render  # noqa: E402
from scoring import RECOVERED, Track  # noqa: E402

POLICIES = ("sam2", "sam3", "dam4sam", "samurai", "last_seen")
SCENES = ("absence", "distractors", "cluttered", "plain", "crowd", "rich")
ABSENCES = (20, 40, 80, 160, 300)
"""Frames that the object is away, clip after clip."""
FRAMES = {"plain": 30, "cluttered": 30, "rich": 30, "distractors": 90, "crowd": 60, "moving": 60, "long": 2000}
OBJECTS = {"distractors": 1, "absence": 1, "crowd": 4, "long": 1}
CLIPS = {"crowd": 10, "long": 1}
"""Clips of a kind where there are to be fewer than --clips."""
DEV_SEED = HELD_OUT_SEED - 100_000
SIZE = 256


@dataclass(frozen=True, slots=True)
class Counts:
    """What a policy did on the objects of a clip, to be summed.

    frames, jf:     frames with the object visible, after the first, and the sum of J&F over them.
    absent, ghosts: frames with it absent, and those of them with a mask.
    returns, found: returns after an absence, and those on which it was found again within five frames.
    switches:       how often the mask went over to another thing; on_other: frames that it stayed there.
    away:           frames of the absence that the scene was made with; 0 for other scenes.
    """

    frames: int
    jf: float
    absent: int
    ghosts: int
    returns: int
    found: int
    switches: int
    on_other: int
    away: int = 0


class SharedFeatures(SessionAround):
    """The image encoder, run once for all that are given the same picture."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._last: tuple[Tensor, dict[str, Tensor]] | None = None

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        image = feeds["image"]
        if self._last is None or not np.array_equal(self._last[0], image):
            self._last = image.copy(), super().run(feeds)
        return self._last[1]


def opened(bundle: Path) -> Sessions:
    """A bundle on one thread."""

    def shared(session: Session) -> Session:
        return SharedFeatures(session) if session.spec.name == "image_encoder" else session

    return Sessions.open(Bundle.load(bundle), OnnxRuntime(threads=1), shared)


def clip_of(kind: str, number: int, base: int) -> tuple[Clip, int]:
    """A clip of a kind, and how long its object is away in the middle of it."""
    away = ABSENCES[number % len(ABSENCES)] if kind == "absence" else 0
    frames = BEFORE_ABSENCE + away + AFTER_ABSENCE if away else FRAMES[kind]
    if kind == "moving":
        return moved(render("cluttered", base + number, SIZE, frames, 2), number), away
    return render(kind, base + number, SIZE, frames, OBJECTS.get(kind, 2)), away


def moved(clip: Clip, seed: int) -> Clip:
    """A clip as a camera sees it that pans, zooms, rolls and tilts."""
    packed = [{i: np.packbits(labels == i) for i in clip.ids} for labels in clip.labels]
    true = TrueClip("moving", clip.frames, packed, tuple(clip.ids), tuple(range(len(packed))))
    shots = list(Transformation("viewpoint", 3).apply(true, seed))
    labels = [sum(i * shot.masks[i].astype(np.uint8) for i in clip.ids) for shot in shots]
    return replace(clip, frames=np.stack([shot.image for shot in shots]), labels=np.stack(labels))


def follow(sessions: Sessions, clip: Clip, policies: Sequence[str]) -> dict[str, list[Track]]:
    """The masks of every object under each policy."""
    trackers = {policy: VideoTracker(sessions, memory=policy) for policy in policies}
    found = {policy: np.zeros((clip.objects, *clip.labels.shape), bool) for policy in policies}
    for index, picture in enumerate(clip.frames):
        prompts = {label: Mask(clip.labels[0] == label) for label in clip.ids} if index == 0 else {}
        for policy, tracker in trackers.items():
            found[policy][:, index] = tracker.step(Frame(index, index / 30, picture), prompts).masks
    true = [clip.labels == label for label in clip.ids]
    return {policy: [Track(*pair) for pair in zip(masks, true, strict=True)] for policy, masks in found.items()}


def on_another(track: Track, labels: Tensor, own: int) -> Tensor:
    """[T], whether the mask lies on one other thing more than on the object, and for the most part."""
    others = np.zeros(len(labels), bool)
    for frame in np.flatnonzero(track.found.any(axis=(1, 2))):
        pixels = np.bincount(labels[frame][track.found[frame]], minlength=own + 1)
        mine, pixels[own], pixels[0] = pixels[own], 0, 0
        others[frame] = pixels.max() > max(mine, track.found[frame].sum() / 2)
    return others


def count(track: Track, labels: Tensor, own: int, away: int) -> Counts:
    """Count one object of a clip."""
    scored = [accuracy(track.found[frame], track.true[frame]) for frame in track.later()]
    absent = int(track.absent.sum())
    ghosts = int(track.found[track.absent].any(axis=(1, 2)).sum())
    returns = [max(accuracy(track.found[f], track.true[f]).J for f in frames) for frames in track.returns()]
    others = on_another(track, labels, own)
    return Counts(
        len(scored),
        sum((one.J + one.F) / 2 for one in scored),
        absent,
        ghosts,
        len(returns),
        int(np.sum(np.array(returns) >= RECOVERED)),
        int(np.sum(others[1:] & ~others[:-1])),
        int(others.sum()),
        away,
    )


def run(bundle: Path, kinds: Sequence[str], clips: int, policies: Sequence[str], base: int, out: Path) -> None:
    """Run what is not in the JSON yet, and add it clip by clip."""
    done: list[dict[str, Any]] = json.loads(out.read_text()) if out.exists() else []
    known = {(row["scene"], row["clip"]) for row in done}
    with opened(bundle) as sessions:
        for number, kind in product(range(clips), kinds):
            if (kind, number) in known or number >= CLIPS.get(kind, clips):
                continue
            clip, away = clip_of(kind, number, base)
            for policy, tracks in follow(sessions, clip, policies).items():
                for label, track in zip(clip.ids, tracks, strict=True):
                    counts = asdict(count(track, clip.labels, label, away))
                    done.append({"scene": kind, "clip": number, "policy": policy, "object": label, **counts})
            out.write_text(json.dumps(done))
            print(f"{kind} {number}", file=sys.stderr, flush=True)


def table(rows: Sequence[Mapping[str, Any]], policies: Sequence[str]) -> list[str]:
    """The figures by scene and policy, and recovery by the length of the absence, as Markdown."""
    lines = ["| scene | policy | J&F | ghosts while absent | found again | switches per object | on another thing |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for kind in dict.fromkeys(row["scene"] for row in rows):
        for policy in policies:
            mine = [row for row in rows if row["scene"] == kind and row["policy"] == policy]
            if not mine:
                continue
            total = {name: sum(row[name] for row in mine) for name in Counts.__dataclass_fields__}
            # every clip counts alike, however long it is
            jf = np.mean([row["jf"] / row["frames"] for row in mine if row["frames"]])
            cells = [f"{100 * jf:.1f}", _share(total["ghosts"], total["absent"])]
            cells += [_share(total["found"], total["returns"]), f"{total['switches'] / len(mine):.2f}"]
            cells += [_share(total["on_other"], total["frames"] + total["absent"])]
            lines.append(f"| {kind} | {policy} | {' | '.join(cells)} |")
    lines += ["", "| away, frames | " + " | ".join(policies) + " |", "| ---: |" + " ---: |" * len(policies)]
    for away in ABSENCES:
        absent = [row for row in rows if row["away"] == away]
        groups = [[row for row in absent if row["policy"] == policy] for policy in policies]
        shares = [_share(sum(r["found"] for r in group), sum(r["returns"] for r in group)) for group in groups]
        lines.append(f"| {away} | {' | '.join(shares)} |")
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} of {whole}" if whole else "-"


def film_strip(bundle: Path, number: int, policies: Sequence[str], columns: int, base: int) -> Tensor:
    """One distractor scene: a row a policy, the object's true outline in black and the mask in white."""
    clip, _ = clip_of("distractors", number, base)
    with opened(bundle) as sessions:
        found = follow(sessions, clip, policies)
    rows = []
    for policy, (track,) in found.items():
        cells = []
        for frame in np.linspace(0, len(clip.frames) - 1, columns).round().astype(int):
            cell = np.ascontiguousarray(clip.frames[frame])
            for mask, colour in ((track.true[frame], (0, 0, 0)), (track.found[frame], (255, 255, 255))):
                loops, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
                cv2.drawContours(cell, loops, -1, colour, 3)
            cell = cv2.resize(cell, (150, 150), interpolation=cv2.INTER_AREA)
            cell[:18] = cell[:18] // 3
            cv2.putText(cell, f"{policy} {frame}", (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255,) * 3, 1, cv2.LINE_AA)
            cells.append(cell)
        rows.append(np.concatenate(cells, axis=1))
    return np.concatenate(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", nargs="+", default=list(SCENES))
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--policies", nargs="+", default=list(POLICIES))
    parser.add_argument("--json", type=Path, help="file of the counts; gone on with where it is there")
    parser.add_argument("--strip", type=Path, help="a JPEG of one distractor scene, and nothing else")
    parser.add_argument("--clip", type=int, default=0, help="of --strip")
    parser.add_argument("--dev", action="store_true", help="seeds that are not held out")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    base = DEV_SEED if chosen.dev else HELD_OUT_SEED
    if chosen.strip is not None:
        picture = film_strip(chosen.bundle, chosen.clip, chosen.policies, 6, base)
        cv2.imwrite(str(chosen.strip), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        return
    run(chosen.bundle, chosen.scenes, chosen.clips, chosen.policies, base, chosen.json)
    print("\n".join(table(json.loads(chosen.json.read_text()), chosen.policies)))


if __name__ == "__main__":
    main()
