"""The data of a run: a frame from a source, and the objects tracked on it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from masklet.runtime.errors import MaskletError


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a source.

    index:  position in the source, from 0, before any stride.
    time_s: presentation time in seconds; a camera counts from its first frame.
    image:  [H, W, 3] uint8 RGB.
    """

    index: int
    time_s: float
    image: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        image = self.image
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise MaskletError(f"frame {self.index}: expected uint8[H, W, 3], got {image.dtype}{list(image.shape)}")

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width, _ = self.image.shape
        return height, width


def check_frame(frame: object) -> None:
    """Raise MaskletError for anything but a `Frame`, such as a bare array."""
    if not isinstance(frame, Frame):
        raise MaskletError(
            f"expected a Frame, got {type(frame).__name__}; wrap an image as Frame(index, time_s, image), image uint8 "
            "[H, W, 3] RGB"
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """How an object was found.

    phrase:   the phrase that it is an instance of; None for an object that a user's prompt added.
    presence: probability that the phrase is in the frame at all, 0..1; None if the detector did not run for it.
    """

    phrase: str | None
    presence: float | None


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """The tracked objects of one frame, in the pixels of the frame.

    An object that is not visible keeps its row, with an empty mask.

    object_ids: [N] int64, unique.
    masks:      [N, H, W] bool.
    boxes_xyxy: [N, 4] float32, tight boxes of the masks: left, top, right, bottom; right and bottom exclusive; zeros
                if the mask is empty.
    scores:     [N] float32, probability that the object is visible, 0..1.
    findings:   [N], for objects found by a phrase or an exemplar; empty if neither was given. The score of such an
                object is that of its first detection, and objects that are not visible are left out.
    stale:      [N] int64, number of frames since each object was segmented; since then its mask was moved
                (`TrackerOptions.update_interval`). None if all objects were segmented on this frame.
    """

    frame_index: int
    time_s: float
    object_ids: npt.NDArray[np.int64]
    masks: npt.NDArray[np.bool_]
    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    findings: tuple[Finding, ...] = ()
    stale: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        count = len(self.object_ids)
        wanted = {
            "object_ids": (self.object_ids, np.int64, (count,)),
            "masks": (self.masks, np.bool_, (count, *self.masks.shape[1:3])),
            "boxes_xyxy": (self.boxes_xyxy, np.float32, (count, 4)),
            "scores": (self.scores, np.float32, (count,)),
            **({} if self.stale is None else {"stale": (self.stale, np.int64, (count,))}),
        }
        for name, (array, dtype, shape) in wanted.items():
            if array.dtype != dtype or array.shape != shape or (name == "masks" and array.ndim != 3):
                raise MaskletError(
                    f"result of frame {self.frame_index}: {name} of {count} objects must be "
                    f"{np.dtype(dtype)}{list(shape)}, got {array.dtype}{list(array.shape)}"
                )
        if self.findings and len(self.findings) != count:
            raise MaskletError(f"result of frame {self.frame_index}: {len(self.findings)} findings of {count} objects")
        if len(set(self.object_ids.tolist())) != count:
            raise MaskletError(f"result of frame {self.frame_index}: object ids repeat in {self.object_ids.tolist()}")

    def __len__(self) -> int:
        return len(self.object_ids)

    def to_supervision(self) -> Any:
        """The visible objects as supervision's `Detections`: xyxy, mask, confidence and tracker_id.

        Objects of phrases also have class_id, the index of their phrase among the result's phrases in alphabetical
        order, and data["class_name"]. Raises MaskletError if supervision is not installed.
        """
        try:
            from supervision import Detections
        except ImportError:
            raise MaskletError("to_supervision() needs supervision; pip install 'masklet[supervision]'") from None
        seen = np.flatnonzero(self.boxes_xyxy[:, 2] > self.boxes_xyxy[:, 0])
        named = [self.findings[row].phrase or "object" for row in seen] if self.findings else []
        classes = sorted(set(named))
        return Detections(
            xyxy=self.boxes_xyxy[seen],
            mask=self.masks[seen],
            confidence=self.scores[seen],
            class_id=np.array([classes.index(name) for name in named], int) if named else None,
            tracker_id=self.object_ids[seen],
            data={"class_name": np.array(named)} if named else {},
        )
