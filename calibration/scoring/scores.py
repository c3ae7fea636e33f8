"""The scores of one frame: each object compared with FP32, and with its true mask if available."""

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from masklet.calibration.clips.clips import Clip
from masklet.calibration.scoring.accuracy import Accuracy, accuracy, region_similarity
from masklet.calibration.scoring.matching import match
from masklet.runtime.results import Frame, FrameResult


class FrameScore(msgspec.Struct, frozen=True):
    """One object on one frame.

    since_prompt: frames since the object was prompted, or its phrase was given.
    object_id:    id in FP32; for an instance that FP32 does not have, its own id.
    iou:          IoU with the mask of FP32; 0 if the object is visible in only one of the two, 1 if in neither.
    had, has:     whether FP32 has a mask, and whether this pipeline has one.
    score_difference: absolute difference from the score of FP32; None unless both have a mask.
    switched:     it is matched with another instance of the low-precision pipeline than before.
    true, true_fp32: accuracy against the true mask, of this pipeline and of FP32; None without true masks.
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
"""Called with each frame of a clip in order, the result of FP32, and the result of the low-precision pipeline."""


def scorer(number: int, clip: Clip) -> Scorer:
    """The scorer for the frames of a clip. number: of the clip."""
    return _Found(number, clip) if clip.concepts else _Prompted(number, clip)


class _Prompted:
    """Scores prompted objects, which have the same ids in both pipelines."""

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
    """Scores instances of phrases, whose ids are unrelated and which are matched by their masks."""

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
