"""Closed loop: runs a pipeline over clips and compares its masks with those of FP32, and with true masks."""

import heapq
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
from masklet.calibration.clips.clips import Clip, run
from masklet.calibration.clips.truth import MaskLines
from masklet.calibration.scoring.accuracy import mean_accuracy
from masklet.calibration.scoring.scores import FrameScore, scorer
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.errors import CalibrationError
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.pixels.overlay import draw
from masklet.runtime.results import Frame, FrameResult

U8 = npt.NDArray[np.uint8]
K = TypeVar("K", int, tuple[int, int])
SHOWN = 6  # number of worst frames shown
PICTURE = 420  # longer side of a picture in pixels
LEAST_SEEN = 0.2  # share of object frames in which FP32 has a mask, for agreement with it to prove anything
LEAST_JF = 20.0  # points that FP32 reaches against true masks, likewise
RED, BLUE = (235, 60, 50), (60, 120, 255)


class Figures(msgspec.Struct, frozen=True):
    """The accuracy of a pipeline over all clips.

    frames:         number of frames with an object to compare.
    iou, least_iou: mask IoU with FP32: mean over frames and objects, and mean of the worst frame; 0 for an object that
                    is visible in only one of the two.
    drift:          mean IoU of the first third of the frames minus that of the last third.
    lost, gained:   number of (object, frame) pairs with a mask in FP32 only, and in this pipeline only.
    jf, jf_fp32:    J&F against true masks in points of 100, over unprompted frames; None without true masks.
    matched_iou:    like `iou`, over the objects that are visible in both; None if there are none.
    score_difference: mean absolute difference of the scores of those objects.
    switched:       how often an instance of FP32 was matched with another instance than before.
    seen, of:       number of (object, frame) pairs after the prompt in which FP32 has a mask, and of all such pairs.
    """

    frames: int
    iou: float
    least_iou: float
    drift: float
    lost: int
    gained: int
    jf: float | None = None
    jf_fp32: float | None = None
    matched_iou: float | None = None
    score_difference: float | None = None
    switched: int = 0
    seen: int = 0
    of: int = 0

    @property
    def drop(self) -> float | None:
        """Points of J&F lost against FP32; negative if accuracy increased."""
        return None if self.jf is None or self.jf_fp32 is None else self.jf_fp32 - self.jf


def lost_by_fp32(figures: Figures) -> str | None:
    """Why figures prove nothing: FP32 itself lost the objects, so that any pipeline agrees with it. None if they do."""
    if figures.of and figures.seen < LEAST_SEEN * figures.of:
        return f"FP32 itself has a mask in {figures.seen} of {figures.of} object frames after the prompts"
    if figures.jf_fp32 is not None and figures.jf_fp32 < LEAST_JF:
        return f"FP32 itself reaches J&F {figures.jf_fp32:.1f} against the true masks"
    return None


class Bound(msgspec.Struct, frozen=True):
    """The limits for a bundle: points of J&F lost, if there are true masks, and mask IoU with FP32 in any case."""

    max_drop: float
    min_iou: float

    def holds(self, figures: Figures) -> bool:
        """Whether the figures are within the limits."""
        return figures.iou >= self.min_iou and (figures.drop is None or figures.drop <= self.max_drop)

    def excess(self, figures: Figures) -> float:
        """The larger ratio of loss to allowed loss; up to 1 is within the limits."""
        shares = [(1 - figures.iou) / max(1 - self.min_iou, 1e-9)]
        if figures.drop is not None:
            shares.append(figures.drop / max(self.max_drop, 1e-9))
        return max(shares)


@dataclass(frozen=True, order=True)
class Worst:
    """A frame with both results drawn in and their difference, reduced in size. Ordered by difference.

    difference: 1 - IoU.
    place:      clip and frame, negated.
    """

    difference: float
    place: tuple[int, int]
    full: U8 = field(compare=False)
    low: U8 = field(compare=False)
    differ: U8 = field(compare=False)


@dataclass(frozen=True)
class Evaluation:
    """The scores of every object and frame, and the worst frames."""

    scores: list[FrameScore]
    worst: list[Worst]

    @property
    def figures(self) -> Figures:
        """The accuracy over all scores."""
        scores = self.scores
        both = [s for s in scores if s.had and s.has]
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
            matched_iou=_mean(s.iou for s in both) if both else None,
            score_difference=_mean(s.score_difference for s in both) if both else None,
            switched=sum(s.switched for s in scores),
            seen=sum(s.had for s in scores if s.since_prompt),
            of=sum(s.since_prompt > 0 for s in scores),
        )

    def by_frame(self) -> list[tuple[tuple[int, int], float]]:
        """Mean IoU with FP32 of each frame, by clip and frame."""
        return _means(((s.clip, s.frame), s.iou) for s in self.scores)

    def curve(self) -> list[tuple[int, float]]:
        """Mean IoU with FP32 by the number of frames since an object was prompted."""
        return _means((s.since_prompt, s.iou) for s in self.scores)


def evaluate(
    sessions: Sessions, clips: Sequence[Clip], fp32: Sequence[MaskLines], progress: Callable[[int], None]
) -> Evaluation:
    """Run sessions over clips. fp32: masks of the FP32 pipeline for each clip. progress: called with frames done."""
    return judge(clips, fp32, lambda clip: run(sessions, clip), progress)


def judge(
    clips: Sequence[Clip],
    fp32: Sequence[MaskLines],
    frames: Callable[[Clip], Iterable[tuple[Frame, FrameResult]]],
    progress: Callable[[int], None],
) -> Evaluation:
    """Compare the results of clips with those of the FP32 pipeline. frames: runs a clip."""
    scores: list[FrameScore] = []
    worst: list[Worst] = []
    for number, clip in enumerate(clips):
        score = scorer(number, clip)
        for frame, low in frames(clip):
            full = fp32[number].result(frame.index, frame.hw)
            frame_scores = list(score(frame, full, low))
            scores += frame_scores
            if frame_scores:
                _keep_worst(worst, 1 - _mean(s.iou for s in frame_scores), (-number, -frame.index), frame, full, low)
            progress(1)
    if not scores:
        raise CalibrationError("no object was tracked, so there is nothing to compare")
    return Evaluation(scores, sorted(worst, reverse=True))


def _keep_worst(
    worst: list[Worst], difference: float, place: tuple[int, int], frame: Frame, full: FrameResult, low: FrameResult
) -> None:
    """Draw a frame and put it on the heap if it is one of the worst."""
    if len(worst) == SHOWN and (difference, place) <= (worst[0].difference, worst[0].place):
        return
    small = _small(frame.image)
    drawn = [draw(small, _small_result(each, small.shape[:2])) for each in (full, low)]
    shown = Worst(difference, place, drawn[0], drawn[1], _small(_difference(frame.image, full, low)))
    (heapq.heappush if len(worst) < SHOWN else heapq.heappushpop)(worst, shown)


def _difference(image: U8, full: FrameResult, low: FrameResult) -> U8:
    """The frame in grey, red where only `full` has a mask, blue where only `low` has one."""
    shown = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 64, 3, axis=2).astype(np.uint8)
    masks, others = full.masks.any(axis=0), low.masks.any(axis=0)
    shown[masks & ~others] = RED
    shown[others & ~masks] = BLUE
    return shown


def _small_result(result: FrameResult, hw: tuple[int, ...]) -> FrameResult:
    masks = np.zeros((len(result), *hw), np.bool_)
    for small, mask in zip(masks, result.masks, strict=True):
        cv2.resize(mask.view(np.uint8), hw[::-1], dst=small.view(np.uint8), interpolation=cv2.INTER_NEAREST)
    return replace(result, masks=masks, boxes_xyxy=boxes_xyxy(masks))


def _small(image: U8) -> U8:
    """An image at the size at which it is shown; smaller ones are enlarged, so that labels are small in them."""
    scale = PICTURE / max(image.shape[:2])
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=way), np.uint8)


def _third(scores: Sequence[FrameScore], part: int, length: int) -> float:
    chosen = [s.iou for s in scores if s.since_prompt * 3 // length == part]
    return _mean(chosen) if chosen else _mean(s.iou for s in scores)


def _jf(by_object: list[list[Any]]) -> float | None:
    """J&F in points: mean over the frames of an object, then over objects, as in DAVIS."""
    return 100 * _mean(mean_accuracy(each).JF for each in by_object) if by_object else None


def _means(values: Iterable[tuple[K, float]]) -> list[tuple[K, float]]:
    """The mean of each key's values, in the order of the keys."""
    by_key: dict[K, list[float]] = {}
    for key, value in values:
        by_key.setdefault(key, []).append(value)
    return [(key, _mean(each)) for key, each in sorted(by_key.items(), key=lambda item: item[0])]


def _mean(values: Any) -> float:
    each = list(values)
    return math.fsum(each) / len(each)
