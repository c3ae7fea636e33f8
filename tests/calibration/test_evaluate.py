"""Figures of scored frames against sums written out, true masks from disk, and the order of the search."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from masklet.calibration.clips.truth import open_truth
from masklet.calibration.graphs.low_precision import FULL, StagePrecision, StagePrecisions
from masklet.calibration.scoring.accuracy import Accuracy
from masklet.calibration.scoring.closed_loop import Bound, Evaluation, Figures, lost_by_fp32
from masklet.calibration.scoring.scores import FrameScore
from masklet.calibration.search.search import Search
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import CalibrationError
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.json_lines import MasksJsonl
from masklet.runtime.sinks.mask_pngs import MaskPngs


def score(
    frame: int, iou: float, *, object_id: int = 1, had: bool = True, has: bool = True, jf: float | None = None
) -> FrameScore:
    true = None if jf is None else Accuracy(jf, jf)
    full = None if jf is None else Accuracy(0.9, 0.9)
    return FrameScore(0, frame, frame, object_id, iou, had, has, 0.25, true=true, true_fp32=full)


def test_figures_are_means_over_frames_and_objects() -> None:
    scores = [score(0, 1.0), score(1, 0.9, jf=0.8), score(2, 0.5, jf=0.6, has=False)]
    scores += [score(1, 0.7, object_id=2, jf=1.0), score(2, 1.0, object_id=2, had=False)]
    found = Evaluation(scores, [])
    figures = found.figures
    assert figures.frames == 3
    assert figures.iou == pytest.approx((1 + 0.9 + 0.5 + 0.7 + 1) / 5)
    assert figures.least_iou == pytest.approx(0.75)
    assert figures.drift == pytest.approx(1.0 - 0.75)
    assert (figures.lost, figures.gained) == (1, 1)
    assert figures.jf == pytest.approx(100 * (0.7 + 1.0) / 2)  # a mean over objects, each over its frames
    assert figures.drop == pytest.approx(90 - 85)
    assert figures.matched_iou == pytest.approx((1 + 0.9 + 0.7) / 3)
    assert figures.score_difference == 0.25
    assert [iou for _, iou in found.curve()] == pytest.approx([1.0, 0.8, 0.75])
    assert [n for n, _ in Evaluation([score(0, 1.0), score(4, 0.9)], []).curve()] == [0, 4]  # of every fourth frame


def test_a_bound_asks_for_both() -> None:
    bound = Bound(0.5, 0.98)

    def figures(iou: float, lost: float | None) -> Figures:
        return Figures(10, iou, iou, 0.0, 0, 0, None if lost is None else 80 - lost, None if lost is None else 80.0)

    assert bound.holds(figures(0.99, 0.4))
    assert bound.holds(figures(0.99, None))
    assert not bound.holds(figures(0.97, -1))
    assert not bound.holds(figures(0.99, 0.6))
    assert bound.excess(figures(0.96, 0.1)) == pytest.approx(2)


def test_figures_prove_nothing_where_fp32_lost_the_object() -> None:
    def figures(seen: int, jf_fp32: float | None = None) -> Figures:
        return Figures(100, 1.0, 1.0, 0.0, 0, 0, jf_fp32, jf_fp32, seen=seen, of=100)

    assert lost_by_fp32(figures(60)) is None
    assert lost_by_fp32(figures(60, 85.0)) is None
    assert lost_by_fp32(figures(6)) == "FP32 itself has a mask in 6 of 100 object frames after the prompts"
    assert lost_by_fp32(figures(60, 0.0)) == "FP32 itself reaches J&F 0.0 against the true masks"


def test_truth_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines, pngs = MasksJsonl(tmp_path / "masks.jsonl"), MaskPngs(tmp_path / "pngs")
    masks = {index: rng.random((2, 9, 11)) > 0.7 for index in (3, 4, 8)}
    for index, both in masks.items():
        both[1] &= ~both[0]
        boxes, scores = np.zeros((2, 4), np.float32), np.array([0.9, 0.8], np.float32)
        result = FrameResult(index, 0.0, np.array([1, 2]), both, boxes, scores)
        for sink in (lines, pngs):
            sink.write(Frame(index, 0.0, np.zeros((9, 11, 3), np.uint8)), result)
    lines.close()
    for path in (tmp_path / "masks.jsonl", tmp_path / "pngs"):
        truth = open_truth(path)
        for index, both in masks.items():
            found = truth.masks(index, (9, 11))
            assert found is not None
            assert all(np.array_equal(found[i + 1], both[i]) for i in range(2))
        assert truth.masks(5, (9, 11)) is None
        with pytest.raises(CalibrationError, match="frame 3 are 11 x 9 pixels, the source's frames 12 x 9"):
            truth.masks(3, (9, 12))


@pytest.mark.parametrize("text", ["", "nonsense", '{"objects": []}\n', "[1]\n"])
def test_a_truth_that_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.jsonl").write_text(text)
    with pytest.raises(CalibrationError):
        open_truth(tmp_path / "x.jsonl")


class Stand:
    """LoweredStages of a model whose IoU falls by a known amount for each low group."""

    precision = Precision.INT8
    costs = {"encoder": {"a": 0.001, "b": 0.02, "c": 0.002, "d": 0.009}, "attention": {"x": 0.004, "y": 0.001}}  # noqa: RUF012

    def lowest(self) -> dict[str, StagePrecision]:
        return {**dict.fromkeys(self.costs, StagePrecision(Precision.INT8)), "prompts": FULL}

    def groups(self, stage: str) -> list[str]:
        return list(self.costs[stage])

    def relative_error(self, stage: str, choice: StagePrecision) -> float:
        return sum(self._low(stage, choice))

    def _low(self, stage: str, choice: StagePrecision) -> Iterable[float]:
        groups = self.costs.get(stage, {})
        return [cost for group, cost in groups.items() if choice != FULL and group not in choice.kept]

    def judge(self, why: str, choices: StagePrecisions) -> Evaluation:
        lost = sum(sum(self._low(stage, choice)) for stage, choice in choices.items())
        return Evaluation([score(0, 1 - lost)], [])


@pytest.mark.parametrize(
    ("min_iou", "expected"),
    [
        (0.95, {"encoder": StagePrecision(Precision.INT8), "attention": StagePrecision(Precision.INT8)}),
        (0.98, {"encoder": StagePrecision(Precision.INT8, ("b",)), "attention": StagePrecision(Precision.INT8)}),
        (0.99, {"encoder": StagePrecision(Precision.INT8, ("b", "d")), "attention": StagePrecision(Precision.INT8)}),
        (0.9985, {"encoder": FULL, "attention": StagePrecision(Precision.INT8, ("x",))}),
        (0.9999, {"encoder": FULL, "attention": FULL}),
    ],
)
def test_the_search_raises_no_more_than_it_must(min_iou: float, expected: dict[str, StagePrecision]) -> None:
    stand = Stand()
    search = Search(stand, stand.judge, Bound(0.5, min_iou))  # type: ignore[arg-type]
    chosen = search.run()
    assert chosen == {**expected, "prompts": FULL}
    assert search.evaluation(chosen).figures.iou >= min_iou
    assert set(search.alone) == {"encoder", "attention"}
    assert search.trials[0].why == "every stage low"
