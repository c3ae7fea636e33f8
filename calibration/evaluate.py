"""The closed loop: a model's masks over clips against the FP32 pipeline's, frame by frame, and against the truth."""

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.accuracy import Accuracy, accuracy, mean_accuracy, region_similarity
from masklet.calibration.clips import Clip, run
from masklet.calibration.truth import MaskLines
from masklet.runtime.errors import CalibrationError
from masklet.runtime.geometry import boxes_xyxy
from masklet.runtime.overlay import draw
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.session import Sessions

BoolArray = npt.NDArray[np.bool_]
U8 = npt.NDArray[np.uint8]
SHOWN = 6  # of the worst frames
PICTURE = 420  # pixels of a picture's longer side


class Figures(msgspec.Struct, frozen=True):
    """What a model's masks come to.

    iou, least_iou: mask IoU with FP32's, mean over frames and objects, and the mean of the worst frame.
    drift:          mean IoU of the first third of the frames less that of the last one.
    lost, gained:   frames of objects whose mask FP32 has and this has not, and the reverse.
    jf, jf_fp32:    J&F with the truth in points of 100, over unprompted frames; None without a truth.
    """

    frames: int
    iou: float
    least_iou: float
    drift: float
    lost: int
    gained: int
    jf: float | None = None
    jf_fp32: float | None = None

    @property
    def drop(self) -> float | None:
        """Points of J&F that are lost against FP32; below zero where something was won."""
        return None if self.jf is None or self.jf_fp32 is None else self.jf_fp32 - self.jf


class Bound(msgspec.Struct, frozen=True):
    """What a bundle may lose: points of J&F where there is a truth, and always mask IoU with FP32."""

    max_drop: float
    min_iou: float

    def holds(self, figures: Figures) -> bool:
        """Whether figures are within it."""
        return figures.iou >= self.min_iou and (figures.drop is None or figures.drop <= self.max_drop)

    def excess(self, figures: Figures) -> float:
        """How far figures are beyond it, in shares of what may be lost: 1 is just within."""
        shares = [(1 - figures.iou) / max(1 - self.min_iou, 1e-9)]
        if figures.drop is not None:
            shares.append(figures.drop / max(self.max_drop, 1e-9))
        return max(shares)


class FrameScore(msgspec.Struct, frozen=True):
    """One object on one frame: IoU with FP32's mask, whether either has one, and accuracy with the truth."""

    clip: int
    frame: int
    since_prompt: int
    object_id: int
    iou: float
    had: bool
    has: bool
    true: Accuracy | None = None
    true_fp32: Accuracy | None = None


@dataclass(frozen=True, order=True)
class Worst:
    """A frame with both results drawn in, small; ordered by IoU, the worst last. place: clip and frame, negated."""

    better_by: float
    place: tuple[int, int]
    full: U8 = field(compare=False)
    low: U8 = field(compare=False)


@dataclass(frozen=True)
class Evaluation:
    """The scores of every object and frame, and the worst frames."""

    scores: list[FrameScore]
    worst: list[Worst]

    @property
    def figures(self) -> Figures:
        """The scores, summed up."""
        scores = self.scores
        true = [s for s in scores if s.true is not None]
        each = sorted({(s.clip, s.object_id) for s in true})
        length = max(s.since_prompt for s in scores) + 1
        return Figures(
            frames=len({(s.clip, s.frame) for s in scores}),
            iou=_mean(s.iou for s in scores),
            least_iou=min(iou for _, iou in self.by_frame()),
            drift=_third(scores, 0, length) - _third(scores, 2, length),
            lost=sum(s.had and not s.has for s in scores),
            gained=sum(s.has and not s.had for s in scores),
            jf=_jf([[s.true for s in true if (s.clip, s.object_id) == key] for key in each]),
            jf_fp32=_jf([[s.true_fp32 for s in true if (s.clip, s.object_id) == key] for key in each]),
        )

    def by_frame(self) -> list[tuple[tuple[int, int], float]]:
        """Mean IoU with FP32 of each frame, by clip and frame."""
        found: dict[tuple[int, int], list[float]] = {}
        for score in self.scores:
            found.setdefault((score.clip, score.frame), []).append(score.iou)
        return [(place, _mean(ious)) for place, ious in sorted(found.items())]

    def curve(self) -> list[float]:
        """Mean IoU with FP32 by the number of frames since an object was prompted."""
        length = max(s.since_prompt for s in self.scores) + 1
        return [_mean(s.iou for s in self.scores if s.since_prompt == n) for n in range(length)]


def evaluate(
    sessions: Sessions, clips: Sequence[Clip], fp32: Sequence[MaskLines], progress: Callable[[int], None]
) -> Evaluation:
    """Run sessions over clips. fp32: the FP32 pipeline's masks of each clip. progress: is told of frames done."""
    scores: list[FrameScore] = []
    worst: list[Worst] = []
    for number, clip in enumerate(clips):
        for frame, result, full in _both(sessions, clip, fp32[number]):
            found = list(_scores(number, clip, frame, result, full))
            scores += found
            if found:
                _keep_worst(worst, -_mean(s.iou for s in found), (-number, -frame.index), frame, result, full)
            progress(1)
    if not scores:
        raise CalibrationError("no object was tracked, so there is nothing to judge")
    return Evaluation(scores, sorted(worst, reverse=True))


def _keep_worst(
    worst: list[Worst], better_by: float, place: tuple[int, int], frame: Frame, result: FrameResult, full: FrameResult
) -> None:
    """Draw a frame and keep it in a heap, if it is one of the worst."""
    if len(worst) == SHOWN and (better_by, place) <= (worst[0].better_by, worst[0].place):
        return
    shown = Worst(better_by, place, *(_small(draw(frame.image, each)) for each in (full, result)))
    (heapq.heappush if len(worst) < SHOWN else heapq.heappushpop)(worst, shown)


def _small(image: U8) -> U8:
    scale = PICTURE / max(image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), np.uint8)


def _both(sessions: Sessions, clip: Clip, fp32: MaskLines) -> Iterator[tuple[Frame, FrameResult, FrameResult]]:
    """Each frame with its result and the FP32 pipeline's."""
    for frame, result in run(sessions, clip):
        stored = fp32.masks(frame.index, frame.hw) or {}
        masks = [stored.get(int(i), np.zeros(frame.hw, bool)) for i in result.object_ids]
        yield frame, result, _like(result, np.stack(masks) if masks else np.zeros((0, *frame.hw), bool))


def _like(result: FrameResult, masks: BoolArray) -> FrameResult:
    return FrameResult(result.frame_index, result.time_s, result.object_ids, masks, boxes_xyxy(masks), result.scores)


def _scores(number: int, clip: Clip, frame: Frame, result: FrameResult, full: FrameResult) -> Iterator[FrameScore]:
    truth = clip.truth.masks(frame.index, frame.hw) if clip.truth else None
    for row, object_id in enumerate(result.object_ids.tolist()):
        prompted = clip.prompted_on(object_id)
        found, wanted = result.masks[row], full.masks[row]
        true = None
        if truth is not None and frame.index not in prompted:
            true = truth.get(object_id, np.zeros(frame.hw, bool))
        yield FrameScore(
            number,
            frame.index,
            frame.index - min(prompted),
            object_id,
            region_similarity(found, wanted),
            bool(wanted.any()),
            bool(found.any()),
            None if true is None else accuracy(found, true),
            None if true is None else accuracy(wanted, true),
        )


def _third(scores: Sequence[FrameScore], part: int, length: int) -> float:
    chosen = [s.iou for s in scores if s.since_prompt * 3 // length == part]
    return _mean(chosen) if chosen else _mean(s.iou for s in scores)


def _jf(by_object: list[list[Any]]) -> float | None:
    """J&F in points: mean over an object's frames, then over objects, as DAVIS has it."""
    return 100 * _mean(mean_accuracy(each).JF for each in by_object) if by_object else None


def _mean(values: Any) -> float:
    each = list(values)
    return math.fsum(each) / len(each)
