"""The complete state of a tracker after a frame, as plain data."""

from dataclasses import dataclass
from typing import Any

from masklet.runtime.bundle.spec import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SlotsSnapshot:
    """Stored values of one kind for one object. values: [kept, ...], one row per frame.

    last_is_present: the last row is that of the current frame.
    """

    times: list[int]
    values: Tensor
    last_is_present: bool


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSnapshot:
    """The memories of one object.

    state:  state of the memory policy after the last frame.
    blocks: of memories that are sets of tokens; None for others.
    """

    object_id: int
    spatial: SlotsSnapshot
    pointers: SlotsSnapshot
    state: dict[str, Any]
    blocks: SlotsSnapshot | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackerSnapshot:
    """Time of a tracker in frames given, its memory policy, and its objects in the order in which they were added.

    camera: state of `CameraMotion`; None if the policy does not need the motion of the camera.
    """

    time: int
    memory: str
    objects: list[ObjectSnapshot]
    camera: Tensor | None = None
