"""Prompts as plain data: what a prompts file, the state of a stream and the control API hold of them."""

import msgspec
import numpy as np
from masklet.runtime.errors import MaskletError, PromptError
from masklet.runtime.pixels.coco_rle import CocoRle
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt, ScheduledPrompt, with_points
from typing_extensions import Self


class PromptShape(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Clicks, a box, both, or a mask, in source pixels.

    points: x, y of each click; labels: 1 on the object, 0 beside it, one per click, all 1 where left out.
    box:    left, top, right, bottom.
    mask:   COCO RLE of the frame's size.
    """

    points: list[tuple[float, float]] = []
    labels: list[int] = []
    box: tuple[float, float, float, float] | None = None
    mask: CocoRle | None = None

    def prompt(self, *, corrects: bool = False) -> Prompt:
        """The prompt. Raises PromptError where the parts do not go together, or none is there."""
        if self.mask is not None:
            if self.points or self.labels or self.box is not None:
                raise PromptError("a mask stands alone: it cannot be combined with points or a box")
            return Mask(_mask(self.mask), corrects)
        points = None
        if self.points or self.labels:
            labels = self.labels or [1] * len(self.points)
            points = Points(np.array(self.points, np.float32).reshape(-1, 2), np.array(labels), corrects)
        if self.box is not None:
            return with_points(Box(*self.box, corrects=corrects), points)
        if points is None:
            raise PromptError("nothing is prompted: give points, a box or a mask")
        return points


class PromptRecord(PromptShape, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A prompt of one object on one frame.

    frame: the source's frame index, from 0. object: its id, from 1. corrects: as in `Points`.
    """

    frame: int
    object: int
    corrects: bool = False

    @classmethod
    def of(cls, frame: int, object_id: int, prompt: Prompt) -> Self:
        """The record of a prompt."""
        given = cls(frame=frame, object=object_id, corrects=prompt.corrects)
        if isinstance(prompt, Mask):
            return msgspec.structs.replace(given, mask=CocoRle.of(prompt.mask))
        points = prompt.points if isinstance(prompt, Box) else prompt
        box = (prompt.x0, prompt.y0, prompt.x1, prompt.y1) if isinstance(prompt, Box) else None
        if points is None:
            return msgspec.structs.replace(given, box=box)
        xy = [(x, y) for x, y in points.xy.tolist()]
        return msgspec.structs.replace(given, box=box, points=xy, labels=points.labels.tolist())

    def scheduled(self) -> ScheduledPrompt:
        """The prompt, on its frame. Raises PromptError naming object and frame."""
        try:
            return ScheduledPrompt(self.object, self.frame, self.prompt(corrects=self.corrects))
        except PromptError as error:
            raise PromptError(f"object {self.object}, frame {self.frame}: {error}") from None


def _mask(rle: CocoRle) -> "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]":
    try:
        return rle.mask()
    except MaskletError as error:
        raise PromptError(str(error)) from None
