"""Prompts: points, a box or a mask of one object on one frame, in source pixels.

Source pixels are the pixels of the frames that a source delivers (after `max_side`), x right and y down; pixel (0, 0)
spans 0..1. Points and a box of the same object and frame combine, since the decoder takes a box as two points with
labels of their own (sam2_video_predictor.py, add_new_points_or_box). A mask cannot be combined with other prompts.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from masklet.runtime.errors import PromptError
from masklet.runtime.pixels.geometry import F32, BoolArray, Fit, Side, to_model_points
from typing_extensions import Self

I64 = npt.NDArray[np.int64]

NEGATIVE, POSITIVE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = 0, 1, 2, 3
PADDING = -1  # label of a padding point; Meta's decoder appends one to every set of points
MAX_OBJECT_ID = 2**31 - 1


def _own(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A read-only copy, so that a frozen prompt cannot change."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Clicks on one object.

    xy:     [N, 2] float32, source pixels.
    labels: [N] int64, 1 where the object is, 0 where it is not.
    corrects: correct what was tracked onto the frame, as `VideoTracker.refine` does, rather than segment the object
              anew from this prompt alone. For an object that is not tracked yet the two are the same.
    Raises PromptError for NaN, another shape or another label.
    """

    xy: F32
    labels: I64
    corrects: bool = False

    def __post_init__(self) -> None:
        with np.errstate(over="ignore"):  # values too large for float32 become inf, which is refused below
            xy, labels = np.asarray(self.xy, np.float32), np.asarray(self.labels)
        if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) == 0:
            raise PromptError(f"points: expected coordinates [N, 2] with N >= 1, got {list(xy.shape)}")
        if labels.shape != (len(xy),):
            raise PromptError(f"points: {len(xy)} points need {len(xy)} labels, got {list(labels.shape)}")
        if not np.isfinite(xy).all():
            raise PromptError(f"points: coordinates must be finite numbers, got {xy.tolist()}")
        if not np.isin(labels, (NEGATIVE, POSITIVE)).all():
            raise PromptError(f"points: labels must be 1 (object) or 0 (not the object), got {labels.tolist()}")
        object.__setattr__(self, "xy", _own(xy))
        object.__setattr__(self, "labels", _own(labels.astype(np.int64)))

    @classmethod
    def click(cls, x: float, y: float, *, positive: bool = True) -> Self:
        """One click at (x, y)."""
        return cls(np.array([[x, y]], np.float32), np.array([int(positive)], np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A box around one object, in source pixels, with optional clicks that refine it. corrects: as in `Points`.

    Raises PromptError for NaN, no area, or corners that are not in the order left, top, right, bottom.
    """

    x0: float
    y0: float
    x1: float
    y1: float
    points: Points | None = None
    corrects: bool = False

    def __post_init__(self) -> None:
        corners = (self.x0, self.y0, self.x1, self.y1)
        if not np.isfinite(corners).all():
            raise PromptError(f"box: coordinates must be finite numbers, got {list(corners)}")
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise PromptError(f"box: {list(corners)} has no area; give X0,Y0,X1,Y1 with X0 < X1 and Y0 < Y1")


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """The mask of an object on a frame, [H, W] bool, of the frame's size. corrects: as in `Points`.

    Raises PromptError if it is empty.
    """

    mask: BoolArray
    corrects: bool = False

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_:
            raise PromptError(f"mask: expected bool[H, W], got {self.mask.dtype}{list(self.mask.shape)}")
        if not self.mask.any():
            height, width = self.mask.shape
            raise PromptError(f"mask: none of its {width}x{height} pixels is set")
        object.__setattr__(self, "mask", _own(self.mask))


Prompt = Points | Box | Mask
Removals = dict[int, list[int]]  # the objects that leave before a frame, by frame index
Schedule = dict[int, dict[int, Prompt]]  # frame index -> object id -> prompt


@dataclass(frozen=True, slots=True, eq=False)
class ScheduledPrompt:
    """A prompt for one object on one frame. object_id: from 1; frame: frame index of the source, from 0."""

    object_id: int
    frame: int
    prompt: Prompt

    def __post_init__(self) -> None:
        if not 1 <= self.object_id <= MAX_OBJECT_ID:
            raise PromptError(f"object id {self.object_id} is not within 1..{MAX_OBJECT_ID}")
        if self.frame < 0:
            raise PromptError(f"object {self.object_id}: frame {self.frame} is below 0")


def merge(first: Prompt, second: Prompt) -> Prompt:
    """Combine two prompts of the same object and frame; clicks keep their order. Corrects if both do.

    Raises PromptError for a mask with any other prompt, and for two boxes.
    """
    corrects = first.corrects and second.corrects
    if isinstance(first, Mask) or isinstance(second, Mask):
        raise PromptError("a mask cannot be combined with points, a box or another mask")
    if isinstance(first, Points):
        if isinstance(second, Points):
            return replace(_join(first, second), corrects=corrects)
        return replace(second, points=_join(first, second.points), corrects=corrects)
    if isinstance(second, Box):
        raise PromptError("an object takes one box per frame, got two")
    return replace(with_points(first, second), corrects=corrects)


def with_points(box: Box, points: Points | None) -> Box:
    """A box with more clicks after its own."""
    if points is None:
        return box
    return replace(box, points=points if box.points is None else _join(box.points, points))


def _join(first: Points, second: Points | None) -> Points:
    if second is None:
        return first
    return Points(np.concatenate([first.xy, second.xy]), np.concatenate([first.labels, second.labels]))


def schedule(prompts: Iterable[ScheduledPrompt]) -> Schedule:
    """Sort prompts by frame, then object id, and merge those of the same object and frame.

    Raises PromptError, naming object and frame, if they cannot be combined.
    """
    plan: Schedule = {}
    for item in sorted(prompts, key=lambda p: (p.frame, p.object_id)):  # stable: keeps the order within an object
        objects = plan.setdefault(item.frame, {})
        earlier = objects.get(item.object_id)
        try:
            objects[item.object_id] = item.prompt if earlier is None else merge(earlier, item.prompt)
        except PromptError as error:
            raise PromptError(f"object {item.object_id}, frame {item.frame}: {error}") from None
    return plan


def _clicks(prompt: Points | Box) -> Points | None:
    return prompt.points if isinstance(prompt, Box) else prompt


def point_count(prompt: Prompt) -> int:
    """Number of points that encode a prompt, without padding; a box counts as its two corners."""
    if isinstance(prompt, Mask):
        return 0
    points = _clicks(prompt)
    return (0 if points is None else len(points.xy)) + 2 * isinstance(prompt, Box)


def check_object_id(object_id: object) -> None:
    """Raise PromptError for an id that is no positive integer: 0 is the background of palette PNGs."""
    whole = isinstance(object_id, int | np.integer) and not isinstance(object_id, bool)
    if not whole or int(object_id) < 1:  # type: ignore[call-overload]
        raise PromptError(f"object id {object_id!r}: expected a positive integer, such as 1")


def check_prompt(prompt: Prompt, source_hw: tuple[int, int]) -> None:
    """Raise PromptError for what is no prompt, reaches beyond the frame, or is a mask of another size.

    source_hw: height and width of the frame in source pixels.
    """
    if not isinstance(prompt, Points | Box | Mask):
        raise PromptError(f"a prompt is Points, Box or Mask, got {type(prompt).__name__}; see masklet.runtime.Points")
    height, width = source_hw
    if isinstance(prompt, Mask):
        if prompt.mask.shape != (height, width):
            rows, columns = prompt.mask.shape
            raise PromptError(f"the mask is {columns}x{rows} pixels, but the frame is {width}x{height}")
        return
    if isinstance(prompt, Box) and (min(prompt.x0, prompt.y0) < 0 or prompt.x1 > width or prompt.y1 > height):
        box = f"{prompt.x0:g},{prompt.y0:g},{prompt.x1:g},{prompt.y1:g}"
        raise PromptError(f"the box {box} reaches beyond the frame of {width}x{height} pixels")
    points = _clicks(prompt)
    for x, y in () if points is None else points.xy.tolist():
        if not (0 <= x <= width and 0 <= y <= height):
            raise PromptError(f"the point {x:g},{y:g} lies outside the frame of {width}x{height} pixels")


def encode_points(
    prompt: Points | Box, source_hw: tuple[int, int], side: Side, fit: Fit = "stretch", *, padded_boxes: bool = True
) -> tuple[F32, I64]:
    """Encode a prompt for the decoder: box corners, then clicks, then one padding point.

    source_hw:    height and width of the frame in source pixels.
    side:         of the model's input in pixels: the edge of a square, or height and width.
    padded_boxes: append the padding point to a box, too. Meta's prompt encoder adds it if no box is passed as a box.
                  SAM 2's predictors pass boxes as points (sam2_base.py 318), so there it is always added; SAM's
                  predictors pass boxes as boxes (False).
    Returns (coords [N, 2] float32 in model pixels, labels [N] int64).
    """
    coords, labels = [], []
    if isinstance(prompt, Box):
        coords += [(prompt.x0, prompt.y0), (prompt.x1, prompt.y1)]
        labels += [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]
    points = _clicks(prompt)
    if points is not None:
        coords += points.xy.tolist()
        labels += points.labels.tolist()
    model_xy = to_model_points(np.array(coords, np.float32), source_hw, side, fit)
    if isinstance(prompt, Box) and not padded_boxes:
        return model_xy, np.array(labels, np.int64)
    return np.concatenate([model_xy, np.zeros((1, 2), np.float32)]), np.array([*labels, PADDING], np.int64)
