"""Memory policies on held-out scenes: what each finds, loses, finds again, and takes another thing for.

    python profiles/benchmarks/memory.py held-out|int8|128|moving|long [--clips N] [--scratch FOLDER] [--write]
    python profiles/benchmarks/memory.py strip [--clip N] [--write]

The checkpoint that ships is exported at 256 px, for `128` at 128 px; `int8` is calibrated on scenes of other seeds. The
policies follow the same clip side by side, from the true masks of the first frame (as in DAVIS and DiDi), and share
what the image encoder says of a frame. --scratch keeps bundles and counts, and goes on from them. --write keeps the
tables in memory.md beside this file, each part in its place; strip: the picture of one scene of distractors. --dev
takes other seeds, for those who look for a better policy.
"""

import argparse
import datetime
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from masklet.calibration.diagnosis.transformations.transformation import Transformation
from masklet.calibration.diagnosis.transformations.true_clip import TrueClip
from masklet.calibration.report.provenance import cpu_name
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
NANO = HERE.parents[1] / "demos" / "nano"
sys.path.insert(0, str(NANO))

from folder import write_clip  # noqa: E402
from hard_scenes import AFTER_ABSENCE, BEFORE_ABSENCE  # noqa: E402
from scenes import HELD_OUT_SEED, Clip, render  # noqa: E402
from scoring import RECOVERED, Track  # noqa: E402

POLICIES = ("sam2", "sam3", "dam4sam", "samurai", "last_seen")
ABSENCES = (20, 40, 80, 160, 300)
"""Frames that the object is away, clip after clip."""
FRAMES = {"plain": 30, "cluttered": 30, "rich": 30, "distractors": 90, "crowd": 60, "moving": 60, "long": 2000}
OBJECTS = {"distractors": 1, "absence": 1, "crowd": 4, "long": 1}
DEV_SEED = HELD_OUT_SEED - 100_000
SIZE = 256
MASKLET = Path(sys.executable).parent / "masklet"
PAGE, STRIP = HERE / "memory.md", HERE / "memory.jpg"


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page: kinds of scenes, and how many clips of each."""

    scenes: Mapping[str, int]
    policies: tuple[str, ...] = POLICIES
    size: int = SIZE
    int8: bool = False


PARTS = {
    "held-out": Part({"absence": 40, "distractors": 80, "cluttered": 40, "plain": 40, "crowd": 10, "rich": 40}),
    "int8": Part({"absence": 12, "distractors": 12}, int8=True),
    "128": Part({"absence": 20, "distractors": 20}, size=128),
    "moving": Part({"moving": 20}, ("sam2", "samurai", "samurai:camera_motion")),
    "long": Part({"long": 4}),
}


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


def exported(folder: Path, part: Part) -> Path:
    """The bundle of a part in a folder, made where it is not there yet."""
    out = folder / f"{part.size}.bundle"
    if not out.exists():
        words = [MASKLET, "export", NANO / "checkpoint", "-o", out, "--image-size", part.size, "--candidate-pointers"]
        subprocess.run([str(word) for word in words], check=True, capture_output=True)
    return lowered(out, folder) if part.int8 else out


def lowered(bundle: Path, folder: Path) -> Path:
    """The bundle in INT8, calibrated on a scene of each of three kinds with seeds that are not held out."""
    out, words = folder / "int8.bundle", [MASKLET, "calibrate", bundle]
    if out.exists():
        return out
    for number, kind in enumerate(("cluttered", "absence", "distractors"), start=1):
        clip, _ = clip_of(kind, number, DEV_SEED)
        place = folder / kind
        write_clip(place, clip.frames[:30], clip.labels[:30])
        words.append(place / "frames")
        for label in clip.ids:
            words += ["--mask", f"{number}/{label}:{place}/masks/00000.png#{label}"]
    words += ["-o", out, "--precision", "int8", "--no-search"]
    subprocess.run([str(word) for word in words], check=True, capture_output=True)
    return out


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


def run(bundle: Path, part: Part, most: int, base: int, out: Path) -> list[dict[str, Any]]:
    """Run what is not in the JSON yet, and add it clip by clip. Returns a row for each clip, policy and object.

    most: clips of each kind at most.
    """
    done: list[dict[str, Any]] = json.loads(out.read_text()) if out.exists() else []
    known = {(row["scene"], row["clip"]) for row in done}
    with opened(bundle) as sessions:
        for number, kind in product(range(most), part.scenes):
            if (kind, number) in known or number >= part.scenes[kind]:
                continue
            clip, away = clip_of(kind, number, base)
            for policy, tracks in follow(sessions, clip, part.policies).items():
                for label, track in zip(clip.ids, tracks, strict=True):
                    counts = asdict(count(track, clip.labels, label, away))
                    done.append({"scene": kind, "clip": number, "policy": policy, "object": label, **counts})
            out.write_text(json.dumps(done))
            print(f"{kind} {number}", file=sys.stderr, flush=True)
    return done


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
    return lines


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.2f} of {whole}" if whole else "-"


def recovery(rows: Sequence[Mapping[str, Any]], policies: Sequence[str]) -> list[str]:
    """Found again, by how long the object was away; empty without scenes of absence."""
    lines = [
        "Found again, by how long the object was away (*absence*; every second clip or so has a look-alike that stays):"
    ]
    lines += ["", "| away, frames | " + " | ".join(policies) + " |", "| ---: |" + " ---: |" * len(policies)]
    for away in ABSENCES:
        absent = [row for row in rows if row["away"] == away]
        if not absent:
            return []
        groups = [[row for row in absent if row["policy"] == policy] for policy in policies]
        shares = [_share(sum(r["found"] for r in group), sum(r["returns"] for r in group)) for group in groups]
        lines.append(f"| {away} | {' | '.join(shares)} |")
    return ["", *lines]


def differences(rows: Sequence[Mapping[str, Any]], policies: Sequence[str]) -> list[str]:
    """J&F of each policy less that of the first on the same clips, and of the last less the others'; standard errors.

    Objects of a clip are not independent: a clip is one sample.
    """
    pairs = [(policy, policies[0]) for policy in policies[1:]]
    if policies[-1] == "last_seen":
        pairs += [(policies[-1], policy) for policy in policies[2:-1]]
    lines = ["| J&F, less that of | " + " | ".join(f"{one} - {other}" for one, other in pairs) + " |"]
    lines.append("| --- |" + " ---: |" * len(pairs))
    for kind in dict.fromkeys(row["scene"] for row in rows):
        clips: dict[str, dict[int, list[float]]] = {policy: {} for policy in policies}
        for row in rows:
            if row["scene"] == kind and row["frames"]:
                clips[row["policy"]].setdefault(row["clip"], []).append(100 * row["jf"] / row["frames"])
        means = {policy: np.array([np.mean(clips[policy][clip]) for clip in clips[policy]]) for policy in policies}
        apart = [means[one] - means[other] for one, other in pairs]
        if len(apart[0]) > 1:
            cells = [f"{each.mean():+.1f} ± {each.std(ddof=1) / len(each) ** 0.5:.1f}" for each in apart]
            lines.append(f"| {kind} | {' | '.join(cells)} |")
    return ["", *lines] if len(lines) > 2 else []


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


def measured(name: str, given: argparse.Namespace, folder: Path) -> str:
    """A part of the page: what was run, and its tables."""
    part = PARTS[name]
    most = given.clips or max(part.scenes.values())
    base = DEV_SEED if given.dev else HELD_OUT_SEED
    rows = run(exported(folder, part), part, most, base, folder / f"{name}.json")
    counted = [f"{len({row['clip'] for row in rows if row['scene'] == kind})} {kind}" for kind in part.scenes]
    form = "INT8" if part.int8 else "FP32"
    lines = [
        f"{datetime.date.today().isoformat()}, {cpu_name()}. {part.size} px, {form}. Clips: {', '.join(counted)}.",
        f"`python profiles/benchmarks/memory.py {name}{f' --clips {given.clips}' if given.clips else ''} --write`",
        "",
        *table(rows, part.policies),
        *recovery(rows, part.policies),
        *differences(rows, part.policies),
    ]
    return "\n".join(lines)


def keep(name: str, text: str) -> None:
    """Put a part into the page, between its two comments."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    page, count = re.subn(
        f"{begin}.*?{end}", lambda _: f"{begin}\n{text}\n{end}", PAGE.read_text(), count=1, flags=re.DOTALL
    )
    if not count:
        raise SystemExit(f"{PAGE.name} has no place for {name}: write {begin} and {end} where it is to be")
    PAGE.write_text(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "strip"])
    parser.add_argument("--clips", type=int, help="of each kind, at most")
    parser.add_argument("--scratch", type=Path, help="keep bundles and counts there, and go on from them")
    parser.add_argument("--clip", type=int, default=0, help="of strip")
    parser.add_argument("--dev", action="store_true", help="seeds that are not held out")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.scratch or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if given.part != "strip":
            text = measured(given.part, given, folder)
            print(text)
            if given.write:
                keep(given.part, text)
            return
        picture = film_strip(exported(folder, PARTS["held-out"]), given.clip, POLICIES, 6, HELD_OUT_SEED)
        out = STRIP if given.write else Path(STRIP.name)
        cv2.imwrite(str(out), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 80])
        print(out)


if __name__ == "__main__":
    main()
