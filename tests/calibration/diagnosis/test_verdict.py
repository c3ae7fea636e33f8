"""Breakdowns, disturbances, verdicts and remedies on measures that are written down."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from masklet.calibration.diagnosis.measures.measures import FrameMeasures
from masklet.calibration.diagnosis.measures.readings import Reading
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.diagnosis.verdicts.breakdowns import Breakdown, course
from masklet.calibration.diagnosis.verdicts.disturbances import How
from masklet.calibration.diagnosis.verdicts.remedies import Circumstances, remedies
from masklet.calibration.diagnosis.verdicts.sentences import sentence
from masklet.calibration.diagnosis.verdicts.verdict import Verdict, verdicts
from masklet.runtime import Bundle

GOOD = Reading(auc=0.99, precision=0.9, refit_auc=0.99, refit_precision=0.9, distance=0.3, change=0.1)
LOST = msgspec.structs.replace(GOOD, precision=0.1)
FAR = msgspec.structs.replace(GOOD, distance=2.0)
STILL = msgspec.structs.replace(GOOD, change=0.0)
IMAGE, ATTENTION, PROMPT, MASK, MEMORY = Position


def frame(number: int, j: float | None, wrong: Mapping[Position, Reading] | None = None) -> FrameMeasures:
    """An object that stands out at every position, but for those that are given. j: None where it is out of sight."""
    return FrameMeasures(
        frame=number,
        object_id=4,
        prompted=number == 0,
        in_sight=j is not None,
        area=0.05,
        brightness=120,
        j=1.0 if j is None else j,
        best_candidate=0.1,
        score=0.9,
        predicted_iou=0.9,
        pointer_cosine=0.8,
        positions={p.value: (wrong or {}).get(p, GOOD) for p in Position},
    )


def clip(js: list[float | None], wrong: Mapping[int, Mapping[Position, Reading]] | None = None) -> list[FrameMeasures]:
    return [frame(number, j, (wrong or {}).get(number)) for number, j in enumerate(js)]


def only(found: list[Verdict]) -> Verdict:
    assert len(found) == 1
    return found[0]


HELD, GONE = [0.9] * 8, [0.1] * 4


@pytest.mark.parametrize(
    ("js", "wanted"),
    [
        (HELD, []),
        ([*HELD, 0.1, 0.1], []),  # two frames are not three
        ([*HELD, 0.1, 0.9, 0.1, 0.1], []),
        ([*HELD, 0.46, 0.46, 0.46], []),  # half is not below half
        ([*HELD, *GONE], [(8, None)]),
        ([*HELD, *GONE, 0.9, 0.9, 0.9], [(8, 12)]),
        ([*HELD, *GONE, 0.9, 0.9, 0.1], [(8, None)]),
        ([*HELD, *GONE, *HELD, *GONE], [(8, 12), (20, None)]),
        ([*HELD, None, None, *GONE], [(10, None)]),  # out of sight counts for nothing
        ([*HELD, 0.1, None, 0.1, None, 0.1], [(8, None)]),
        ([0.1] * 9, []),  # nothing to break
        ([], []),
    ],
)
def test_breakdowns_are_three_frames_below_half(js: list[float | None], wanted: list[tuple[int, int | None]]) -> None:
    assert [(b.frame, b.until) for b in course(clip(js)).breakdowns] == wanted


def test_a_breakdown_has_its_numbers() -> None:
    assert course(clip([*HELD, 0.25, 0.125, 0.0])).breakdowns == [Breakdown(8, None, 0.9, 0.125)]


@pytest.mark.parametrize("reading", [LOST, FAR])
@pytest.mark.parametrize(
    ("disturbed", "wanted"),
    [
        ([], MASK),
        ([PROMPT], PROMPT),
        ([ATTENTION, PROMPT], ATTENTION),
        ([IMAGE, ATTENTION, PROMPT], IMAGE),
        ([IMAGE], MASK),  # what comes later has it still
        ([IMAGE, PROMPT], PROMPT),
        ([MEMORY], MASK),  # a memory of a wrong mask
    ],
)
def test_the_loss_is_placed_where_all_later_positions_have_lost_it(
    disturbed: list[Position], wanted: Position, reading: Reading
) -> None:
    wrong = {number: dict.fromkeys(disturbed, reading) for number in range(8, 12)}
    verdict = only(verdicts(clip([*HELD, *GONE], wrong)))
    assert (verdict.kind, verdict.position, verdict.frame, verdict.since) == ("breakdown", wanted, 8, 8)


def test_memory_is_to_blame_where_it_was_wrong_while_masks_held() -> None:
    wrong = {number: {MEMORY: LOST} for number in range(4, 8)} | {8: {ATTENTION: FAR, PROMPT: FAR}}
    verdict = only(verdicts(clip([*HELD, *GONE], wrong)))
    assert (verdict.position, verdict.since, verdict.frame) == (MEMORY, 4, 8)
    assert verdict.wrong is not None
    assert verdict.wrong.how is How.LOST
    assert "from frame 4 on" in sentence(verdict, clip([*HELD, *GONE], wrong))


def test_memory_is_not_to_blame_for_an_image_that_shows_nothing() -> None:
    wrong = {number: {MEMORY: LOST} for number in range(4, 8)} | {8: {IMAGE: LOST, ATTENTION: FAR, PROMPT: FAR}}
    found = verdicts(clip([*HELD, *GONE], wrong))
    assert [(v.kind, v.position) for v in found] == [("silent", MEMORY), ("breakdown", IMAGE)]


def test_memory_that_is_wrong_while_masks_hold_is_said() -> None:
    wrong = {number: {MEMORY: FAR} for number in range(3, 6)}
    measures = clip(list(HELD), wrong)
    verdict = only(verdicts(measures))
    assert (verdict.kind, verdict.position, verdict.since, verdict.until) == ("silent", MEMORY, 3, 6)
    assert "masks hold all the same" in sentence(verdict, measures)
    assert verdicts(clip(list(HELD), {3: {MEMORY: FAR}, 4: {MEMORY: FAR}})) == []  # two frames are not three


@pytest.mark.parametrize("position", [IMAGE, ATTENTION, PROMPT])
def test_what_is_passed_on_all_the_same_is_not_blamed(position: Position) -> None:
    assert verdicts(clip(list(HELD), {number: {position: LOST} for number in range(2, 8)})) == []


@pytest.mark.parametrize("position", list(Position))
def test_a_position_that_stands_still_is_blamed(position: Position) -> None:
    standing = {number: {position: STILL} for number in range(6, 12)}
    verdict = only(verdicts(clip([*HELD, *GONE], standing)))
    assert (verdict.kind, verdict.position, verdict.since) == ("breakdown", position, 6)
    silent = only(verdicts(clip(list(HELD), {number: {position: STILL} for number in range(3, 6)})))
    assert (silent.kind, silent.position) == ("silent", position)


def test_a_prompt_that_finds_nothing_is_said() -> None:
    measures = clip([0.2] * 6)
    verdict = only(verdicts(measures))
    assert (verdict.kind, verdict.frame) == ("prompt", 0)
    assert "not found where it is prompted" in sentence(verdict, measures)


def test_the_mask_is_explained_by_what_the_decoder_said() -> None:
    for change, words in (
        ({"score": 0.1}, "takes it for out of sight (score 0.10)"),
        ({"best_candidate": 0.8}, "the wrong one of its candidates (the best has J 0.80)"),
        ({}, "none of the decoder's candidates has it (J 0.10 at best)"),
    ):
        measures = [msgspec.structs.replace(m, **change) for m in clip([*HELD, *GONE])]
        verdict = only(verdicts(measures))
        assert words in sentence(verdict, measures)
        assert "while the prompt attention still tells it apart (precision 0.90)" in sentence(verdict, measures)


def test_remedies_exist_and_name_their_command(trained_bundle: Path, int8_bundle: Path) -> None:
    wrong = {8: {IMAGE: LOST, ATTENTION: LOST, PROMPT: LOST}}
    measures = clip([*HELD, *GONE], wrong)
    verdict = only(verdicts(measures))
    plain = Bundle.load(trained_bundle)
    assert remedies(verdict, Circumstances(plain, "sam2", measures, (30, 40))) == [
        "a larger frame: the object covers 3.2 cells of the model's 128 px; `masklet export --image-size 256`, or a "
        "camera that is nearer",
        "a correction prompt on frame 8: `--point 4@8:30,40`",
    ]
    dark = [msgspec.structs.replace(m, brightness=20 if m.frame > 7 else 90, area=0.5) for m in measures]
    found = remedies(verdict, Circumstances(Bundle.load(int8_bundle), "sam2", dark, None))
    assert "image_encoder runs in int8" in found[0]
    assert found[1:] == [
        "more light, or a longer exposure: the object's brightness is 20 of 255, 90 before",
        "a correction prompt on frame 8",
    ]
    other = only(verdicts(clip([*HELD, *GONE], {8: {ATTENTION: LOST, PROMPT: LOST}})))
    assert "--against-memory" in remedies(other, Circumstances(plain, "sam2", measures, None))[0]
