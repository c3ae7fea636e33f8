"""Each position is damaged in turn and the verdict must name it, on clips that none of its constants was chosen on."""

from pathlib import Path

import pytest
from evaluate import CHECKPOINT
from judged_clips import FRAMES, SIDE, SINCE, Judged, first_lost, follow, judged_clips
from made_once import made_once
from masklet.calibration.diagnosis.observation import ObservedBundle
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.verdict import verdicts
from masklet.runtime import Bundle
from sabotage import DAMAGES, Sabotage

CLIPS, NAMED = 10, 8  # that are judged; of which the damaged position must be named at least
DAMAGED_BY = {
    Position.IMAGE: "blur",
    Position.ATTENTION: "shuffle",
    Position.PROMPT: "zero",
    Position.MASK: "freeze",
    Position.MEMORY: "blur",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The checkpoint that ships, for 256 px."""
    from masklet.export.family import Form
    from masklet.export.pipeline import export_bundle

    def make(path: Path) -> None:
        export_bundle(str(CHECKPOINT), path, [Form(SIDE)])

    return Bundle.load(made_once(tmp_path_factory, "trained-256.bundle", make))


@pytest.fixture(scope="module")
def judged(bundle: Bundle) -> list[Judged]:
    """Ten held-out clips."""
    return judged_clips(bundle, "cluttered", CLIPS)


@pytest.mark.parametrize("position", list(Position), ids=lambda position: position.name)
def test_the_verdict_names_the_damaged_position(position: Position, bundle: Bundle, judged: list[Judged]) -> None:
    sabotage = Sabotage(position, DAMAGES[DAMAGED_BY[position]], SINCE)
    named = []
    with ObservedBundle(bundle, backend=sabotage) as observed:
        for each in judged:
            verdict = first_lost(verdicts(follow(observed, each.clip, each.label, sabotage)))
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
