"""The objects of a frame while its result is delayed, and the result at the size of the frame."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from masklet.runtime.concepts.overlaps import BLANK, apart
from masklet.runtime.pixels.geometry import F32, BoolArray, aligned_parts, draw_part
from masklet.runtime.results import Finding, Frame, FrameResult
from typing_extensions import Self


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """An object on a frame.

    part:     logits around the mask, [h, w], cut out at `corner` (row, column), which keeps delayed results small.
    box:      of the mask at resolution `low_hw`: left, top, right, bottom; right and bottom exclusive; zeros if empty.
    visible:  probability that the object is visible, 0..1, from the tracker; for a new object the score of its
              detection.
    score:    score of its first detection; 1 once a user prompted it (Meta's output, I: _postprocess_output).
    concept:  index of the concept that it is an instance of; None if a user added it to no concept.
    presence: probability that the concept is in this frame at all; None if the detector did not run for it.
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
        """Make one from logits [h, w]."""
        x, y, columns, rows = cv2.boundingRect((logits > 0).view(np.uint8))
        top, left = max(0, y - 1), max(0, x - 1)  # the edge of the enlarged mask depends on the pixel next to it
        part = logits[top : y + rows + 1, left : x + columns + 1] if columns else logits[:0, :0]
        low_hw = (logits.shape[0], logits.shape[1])
        box = (x, y, x + columns, y + rows)
        return cls(part.copy(), (top, left), box, low_hw, visible, score, concept, presence)

    def draw(self, mask: BoolArray) -> tuple[int, int, int, int]:
        """Draw the object, enlarged, into an empty mask [H, W]. Returns its box (left, top, right, bottom)."""
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
    """The objects of a frame whose masks are not yet enlarged to the frame's size.

    `result` uses no session, so another thread may call it.

    names:       names of the concepts.
    shown:       objects by id; an object that is removed while the result is delayed is deleted here.
    hidden:      ids that a rule hides on this frame.
    unconfirmed: ids that have not been matched on enough frames up to this one.
    """

    frame: Frame
    names: Sequence[str]
    shown: dict[int, Shown] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    unconfirmed: set[int] = field(default_factory=set)

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects that the result will contain, except those whose masks are empty."""
        return sorted(self.shown.keys() - self.hidden)

    def settled(self, unconfirmed: set[int]) -> "PendingConcepts":
        """A copy of this frame for another thread: later prompts do not change it."""
        return replace(self, shown=dict(self.shown), hidden=self.hidden | unconfirmed, unconfirmed=set())

    def forgive(self, object_id: int) -> None:
        """Show an object even if a rule hides it, because a user prompted it."""
        self.hidden.discard(object_id)
        self.unconfirmed.discard(object_id)

    def result(self) -> FrameResult:
        """Enlarge the masks to the frame's size; objects without any pixel are left out."""
        ids = [i for i in self.object_ids if self.shown[i].part.size]
        objects = [self.shown[i] for i in ids]
        masks = np.zeros((len(ids), *self.frame.hw), np.bool_)
        boxes = np.zeros((len(ids), 4), np.int64)
        for one, mask, box in zip(objects, masks, boxes, strict=True):
            box[:] = one.draw(mask)
        kept = [row for row in range(len(ids)) if boxes[row, 2] > 0]  # an object that others cover completely stays
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
