"""The scores of one frame: each object beside FP32's, and beside the true one where there is a truth."""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from masklet.calibration.clips.clips import Clip
from masklet.calibration.scoring.accuracy import Accuracy, accuracy, region_similarity
from masklet.calibration.scoring.matching import match
from masklet.runtime.results import Frame, FrameResult


class FrameScore(msgspec.Struct, frozen=True):
    """One object on one frame.

    since_prompt: frames since the object was prompted, or its phrase given.
    object_id:    FP32's; of an instance that FP32 has not, its own.
    iou:          with FP32's mask; 0 where only one of the two has the object in sight, 1 where neither has.
    had, has:     whether FP32 has a mask, and whether this has one.
    score_difference: from FP32's, without sign; None where not both have a mask.
    switched:     it is another instance of the low pipeline's than it was before.
    true, true_fp32: accuracy with the truth, of this and of FP32; None without a truth.
    """

    clip: int
    frame: int
    since_prompt: int
    object_id: int
    iou: float
    had: bool
    has: bool
    score_difference: float | None = None
    switched: bool = False
    true: Accuracy | None = None
    true_fp32: Accuracy | None = None


Scorer = Callable[[Frame, FrameResult, FrameResult], Iterator[FrameScore]]
"""Takes the frames of a clip in their order, with FP32's result and the low pipeline's."""


def scorer(number: int, clip: Clip) -> Scorer:
    """How a clip's frames are scored. number: of the clip."""
    return _Found(number, clip) if clip.concepts else _Prompted(number, clip)


class _Prompted:
    """Objects that were prompted: ids are the prompts', and the same in both pipelines."""

    def __init__(self, number: int, clip: Clip) -> None:
        self._number, self._clip = number, clip

    def __call__(self, frame: Frame, full: FrameResult, low: FrameResult) -> Iterator[FrameScore]:
        truth = self._clip.truth.masks(frame.index, frame.hw) if self._clip.truth else None
        rows = {object_id: row for row, object_id in enumerate(full.object_ids.tolist())}
        for row, object_id in enumerate(low.object_ids.tolist()):
            prompted = self._clip.prompted_on(object_id)
            wanted, found = full.masks[rows[object_id]], low.masks[row]
            had, has = bool(wanted.any()), bool(found.any())
            true = None
            if truth is not None and frame.index not in prompted:
                true = truth.get(object_id, np.zeros(frame.hw, bool))
            yield FrameScore(
                self._number,
                frame.index,
                frame.index - min(prompted),
                object_id,
                region_similarity(found, wanted),
                had,
                has,
                abs(float(full.scores[rows[object_id]] - low.scores[row])) if had and has else None,
                true=None if true is None else accuracy(found, true),
                true_fp32=None if true is None else accuracy(wanted, true),
            )


class _Found:
    """Instances of phrases: ids are given as they are found, so that masks say which are the same."""

    def __init__(self, number: int, clip: Clip) -> None:
        self._number, self._clip = number, clip
        self._partners: dict[int, int] = {}

    def __call__(self, frame: Frame, full: FrameResult, low: FrameResult) -> Iterator[FrameScore]:
        matching = match(full, low)
        place = self._number, frame.index, frame.index - self._clip.first_frame
        for row, other, iou in matching.pairs:
            object_id, partner = int(full.object_ids[row]), int(low.object_ids[other])
            switched = self._partners.get(object_id, partner) != partner
            self._partners[object_id] = partner
            different = abs(float(full.scores[row] - low.scores[other]))
            yield FrameScore(*place, object_id, iou, had=True, has=True, score_difference=different, switched=switched)
        for row in matching.lost:
            yield FrameScore(*place, int(full.object_ids[row]), 0.0, had=True, has=False)
        for row in matching.gained:
            yield FrameScore(*place, int(low.object_ids[row]), 0.0, had=False, has=True)
