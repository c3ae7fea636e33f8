"""What goes over the wire of an annotation, beside what it shares with a live view."""

from typing import Literal

import msgspec
from masklet.runtime.view.messages import Metrics


class AnnotatedObject(msgspec.Struct, frozen=True):
    """An object of a clip. prompted: frames on which it has a prompt, the first one first."""

    id: int
    name: str
    colour: str
    prompted: list[int]


class LongWork(msgspec.Struct, frozen=True):
    """What is being done. frame: index of the frame it is at; done: frames so far, of a total."""

    what: str
    frame: int | None
    done: int
    total: int
    frames_per_s: float


class AnnotatedClip(msgspec.Struct, frozen=True, tag="state", tag_field="type"):
    """A clip as it is now.

    size: width and height in pixels. frames: indices of its frames: first, how many, and the step between two.
    works: how many long works have begun.
    version: of the masks, another number whenever they change. missing: frames without a mask, by direction.
    reached: index of the frame that was tracked last, None before the first. saved: whether the masks on disk are
    these. folder: where they are.
    """

    name: str
    size: tuple[int, int]
    fps: float
    frames: tuple[int, int, int]
    objects: list[AnnotatedObject]
    can_undo: bool
    version: int
    missing: dict[str, int]
    work: LongWork | None
    works: int
    reached: int | None
    saved: bool
    folder: str
    has_truth: bool
    metrics: Metrics


class Begun(msgspec.Struct, frozen=True):
    """A long work has begun. work: its number, from 1."""

    work: int


class ObjectTimeline(msgspec.Struct, frozen=True):
    """Where an object is along a clip.

    runs: of frames that are alike: "unknown", "visible" or "lost", and how many. j: agreement with the true mask on
    each frame, None where it is not known; no list without true masks.
    """

    id: int
    runs: list[tuple[str, int]]
    j: list[float | None] | None


class Timeline(msgspec.Struct, frozen=True):
    """Every object along the clip, and the version of the masks that this is of."""

    version: int
    objects: list[ObjectTimeline]


class Track(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Track what has no mask yet, to the end of the clip or to its beginning."""

    direction: Literal["forwards", "backwards"]
