"""What is known of a frame's instances, until its result is due; and the result in the frame's size."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import cv2
import numpy as np
from masklet.runtime.concepts.overlaps import BLANK, apart
from masklet.runtime.pixels.geometry import F32, BoolArray, aligned_parts, draw_part
from masklet.runtime.results import Finding, Frame, FrameResult


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An object on a frame.

    part:     its logits around the mask, [h, w] cut out at `corner` (row, column): results wait, and shall be small.
    box:      of the mask in [h, w] at `low_hw`: left, top, right, bottom, the last two exclusive; zeros without one.
    visible:  how surely the tracker sees it, 0..1; of a new object its detection's score.
    score:    of the detection that it began with; 1 once a user prompted it (Meta's output, I: _postprocess_output).
    concept:  index of what it is an instance of; None for none.
    presence: how likely that is in this frame at all; None where the detector was not asked.
    """

    part: F32
    corner: tuple[int, int]
    box: tuple[int, int, int, int]
    low_hw: tuple[int, int]
    visible: float
    score: float
    concept: int | None
    presence: float | None

    @classmethod
    def of(cls, logits: F32, visible: float, score: float, concept: int | None, presence: float | None) -> Self:
        """An object with logits [h, w]."""
        x, y, columns, rows = cv2.boundingRect((logits > 0).view(np.uint8))
        top, left = max(0, y - 1), max(0, x - 1)  # the pixel beside the mask says where between the two it ends
        part = logits[top : y + rows + 1, left : x + columns + 1] if columns else logits[:0, :0]
        low_hw = (logits.shape[0], logits.shape[1])
        box = (x, y, x + columns, y + rows)
        return cls(part.copy(), (top, left), box, low_hw, visible, score, concept, presence)

    def draw(self, mask: BoolArray) -> tuple[int, int, int, int]:
        """Bring the object to the size of an empty mask [H, W]; returns its box (left, top, right, bottom)."""
        if not self.part.size:
            return 0, 0, 0, 0
        low, high = aligned_parts(self.box, self.low_hw, mask.shape)
        rows, columns = low
        logits = np.full((rows.stop - rows.start, columns.stop - columns.start), BLANK, np.float32)
        top, left = self.corner[0] - rows.start, self.corner[1] - columns.start
        logits[top : top + self.part.shape[0], left : left + self.part.shape[1]] = self.part
        return draw_part(logits, high, mask)


@dataclass(slots=True, eq=False)
class PendingConcepts:
    """A frame's objects before its masks have the frame's size. `result` takes no session: another thread may call it.

    names:       of the concepts.
    shown:       by object id. What is removed before the result is due is taken out.
    hidden:      ids that a rule hides on this frame.
    unconfirmed: ids that were not matched often enough up to this frame.
    """

    frame: Frame
    names: Sequence[str]
    shown: dict[int, Shown] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    unconfirmed: set[int] = field(default_factory=set)

    @property
    def object_ids(self) -> list[int]:
        """The objects that the result will have, unless their masks are empty."""
        return sorted(self.shown.keys() - self.hidden)

    def settled(self, unconfirmed: set[int]) -> "PendingConcepts":
        """This frame as it stands, for another thread to bring to its size: later prompts do not change it."""
        return replace(self, shown=dict(self.shown), hidden=self.hidden | unconfirmed, unconfirmed=set())

    def forgive(self, object_id: int) -> None:
        """Show an object whatever a rule says: a user touched it."""
        self.hidden.discard(object_id)
        self.unconfirmed.discard(object_id)

    def result(self) -> FrameResult:
        """Bring the masks to the frame's size; objects without a pixel are left out."""
        ids = [i for i in self.object_ids if self.shown[i].part.size]
        objects = [self.shown[i] for i in ids]
        masks = np.zeros((len(ids), *self.frame.hw), np.bool_)
        boxes = np.zeros((len(ids), 4), np.int64)
        for one, mask, box in zip(objects, masks, boxes, strict=True):
            box[:] = one.draw(mask)
        kept = [row for row in range(len(ids)) if boxes[row, 2] > 0]  # one that others cover wholly stays
        for concept in {one.concept for one in objects}:
            rows = [row for row, one in enumerate(objects) if one.concept == concept]
            if len(rows) > 1:
                visible = np.array([objects[row].visible for row in rows], np.float32)
                apart([masks[row] for row in rows], [boxes[row] for row in rows], visible)
        return FrameResult(
            self.frame.index,
            self.frame.time_s,
            np.array(ids, np.int64)[kept],
            masks[kept] if len(kept) < len(ids) else masks,
            boxes[kept].astype(np.float32),
            np.array([one.score for one in objects], np.float32)[kept],
            tuple(Finding(self._name(objects[row].concept), objects[row].presence) for row in kept),
        )

    def _name(self, concept: int | None) -> str | None:
        return None if concept is None else self.names[concept]
