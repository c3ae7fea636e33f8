"""Held-out clips on which the verdict is judged: none of its constants was chosen on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clicks import centre_click
from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.observation import ObservedBundle
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.transformations.true_clip import Shot
from masklet.calibration.diagnosis.verdicts.verdict import Verdict
from masklet.runtime import Bundle, Points
from sabotage import Sabotage
from scenes import HELD_OUT_SEED, Clip, render

FIRST_SEED = HELD_OUT_SEED + 300  # those up to 120 were looked at while the verdict's constants were chosen
FRAMES, SINCE = 18, 12  # of a clip; from which on it is damaged
SIDE = 256
IN_SIGHT = 0.005  # of the frame, that an object covers on every frame
HIGH = 0.5  # J that the undamaged model keeps on every frame


@dataclass(frozen=True)
class Judged:
    """An object of a clip, with what is measured of it without damage."""

    clip: Clip
    label: int
    measures: list[FrameMeasures]


def judged_clips(bundle: Bundle, kind: str, count: int) -> list[Judged]:
    """The first clips with an object that stays in sight and that the undamaged model keeps."""
    found: list[Judged] = []
    with ObservedBundle(bundle, threads=1) as observed:
        for seed in range(FIRST_SEED, FIRST_SEED + 20 * count):
            clip = render(kind, seed, SIDE, FRAMES)
            labels = [i for i in clip.ids if min((clip.labels == i).mean(axis=(1, 2))) > IN_SIGHT]
            for label in labels[:1]:
                measures = follow(observed, clip, label)
                if min(m.j or 0 for m in measures) >= HIGH:
                    found.append(Judged(clip, label, measures))
            if len(found) == count:
                return found
    raise ValueError(f"{len(found)} clips of {count}")


def follow(observed: ObservedBundle, clip: Clip, label: int, sabotage: Sabotage | None = None) -> list[FrameMeasures]:
    """Follow an object from one click, damaged or not."""

    def shots() -> Iterator[tuple[int, Shot]]:
        for number, (image, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
            if sabotage is not None:
                sabotage.begin(number)
            yield number, Shot(image, {label: labels == label})

    click = Points.click(*centre_click(clip.labels[0] == label))
    return observed.follow(shots(), {0: {label: click}}, lambda: None).measures[label]


def first_lost(found: Sequence[Verdict]) -> Verdict | None:
    """What was lost first, in the order of frames and of a frame's way."""
    return min(found, key=lambda v: (v.since, list(Position).index(v.position)), default=None)
