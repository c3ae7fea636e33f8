"""Each position is damaged in turn and the verdict must name it, on clips that none of its constants was chosen on."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from clicks import centre_click
from evaluate import CHECKPOINT
from made_once import made_once
from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.observation import ObservedBundle
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.transformations.true_clip import Shot
from masklet.calibration.diagnosis.verdicts.verdict import Verdict, verdicts
from masklet.runtime import Bundle, Points
from sabotage import DAMAGES, Sabotage
from scenes import HELD_OUT_SEED, Clip, render

FIRST_SEED = HELD_OUT_SEED + 300  # those up to 120 were looked at while the verdict's constants were chosen
CLIPS, NAMED = 10, 8  # that are judged; of which the damaged position must be named at least
FRAMES, SINCE = 18, 12  # of a clip; from which on it is damaged
IN_SIGHT = 0.005  # of the frame, that an object covers on every frame
HIGH = 0.5  # J that the undamaged model keeps on every frame
DAMAGED_BY = {
    Position.IMAGE: "blur",
    Position.ATTENTION: "shuffle",
    Position.PROMPT: "zero",
    Position.MASK: "freeze",
    Position.MEMORY: "blur",
}


@dataclass(frozen=True)
class Judged:
    """An object of a clip, with what is measured of it without damage."""

    clip: Clip
    label: int
    measures: list[FrameMeasures]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The checkpoint that ships, for 256 px."""
    from masklet.export.family import Form
    from masklet.export.pipeline import export_bundle

    def make(path: Path) -> None:
        export_bundle(str(CHECKPOINT), path, [Form(256)])

    return Bundle.load(made_once(tmp_path_factory, "trained-256.bundle", make))


@pytest.fixture(scope="module")
def judged(bundle: Bundle) -> list[Judged]:
    """Ten held-out clips with an object that stays in sight and that the undamaged model keeps."""
    found: list[Judged] = []
    with ObservedBundle(bundle, threads=1) as observed:
        for seed in range(FIRST_SEED, FIRST_SEED + 100):
            clip = render("cluttered", seed, 256, FRAMES)
            labels = [i for i in clip.ids if min((clip.labels == i).mean(axis=(1, 2))) > IN_SIGHT]
            for label in labels[:1]:
                measures = follow(observed, clip, label)
                if min(m.j or 0 for m in measures) >= HIGH:
                    found.append(Judged(clip, label, measures))
            if len(found) == CLIPS:
                return found
    raise AssertionError("too few clips")


def follow(observed: ObservedBundle, clip: Clip, label: int, sabotage: Sabotage | None = None) -> list[FrameMeasures]:
    def shots() -> Iterator[tuple[int, Shot]]:
        for number, (image, labels) in enumerate(zip(clip.frames, clip.labels, strict=True)):
            if sabotage is not None:
                sabotage.begin(number)
            yield number, Shot(image, {label: labels == label})

    click = Points.click(*centre_click(clip.labels[0] == label))
    return observed.follow(shots(), {0: {label: click}}, lambda: None).measures[label]


def first(found: list[Verdict]) -> Verdict | None:
    """What was lost first, in the order of frames and of a frame's way."""
    return min(found, key=lambda v: (v.since, list(Position).index(v.position)), default=None)


@pytest.mark.parametrize("position", list(Position), ids=lambda position: position.name)
def test_the_verdict_names_the_damaged_position(position: Position, bundle: Bundle, judged: list[Judged]) -> None:
    sabotage = Sabotage(position, DAMAGES[DAMAGED_BY[position]], SINCE)
    named = []
    with ObservedBundle(bundle, backend=sabotage) as observed:
        for each in judged:
            verdict = first(verdicts(follow(observed, each.clip, each.label, sabotage)))
            named.append(verdict is not None and verdict.position is position and verdict.since >= SINCE)
    assert sum(named) >= NAMED, named


def test_no_position_is_blamed_where_nothing_is_damaged(judged: list[Judged]) -> None:
    assert [verdicts(each.measures) for each in judged] == [[]] * CLIPS


def test_a_damaged_graph_that_damages_nothing_is_the_graph(bundle: Bundle, judged: list[Judged]) -> None:
    """The sabotage of inner cells replaces a graph: without damage it must measure the same."""
    sabotage = Sabotage(Position.PROMPT, DAMAGES["zero"], FRAMES)
    with ObservedBundle(bundle, backend=sabotage) as observed:
        again = follow(observed, judged[0].clip, judged[0].label, sabotage)
    assert [m.j for m in again] == pytest.approx([m.j for m in judged[0].measures], abs=1e-3)
