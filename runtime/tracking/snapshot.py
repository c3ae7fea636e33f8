"""What a tracker knows at the end of a frame, as plain data: enough to go on exactly as it would have."""

from dataclasses import dataclass
from typing import Any

from masklet.runtime.bundle.spec import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SlotsSnapshot:
    """What one object keeps of one kind. values: [kept, ...], a row a frame; the last is the present one if so said."""

    times: list[int]
    values: Tensor
    last_is_present: bool


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSnapshot:
    """The memories of one object.

    state:  what the memory policy knows of it after the last frame.
    blocks: of memories that are sets of tokens; None for others.
    """

    object_id: int
    spatial: SlotsSnapshot
    pointers: SlotsSnapshot
    state: dict[str, Any]
    blocks: SlotsSnapshot | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackerSnapshot:
    """A tracker's time, in frames given, its memory policy, and its objects in the order in which they joined.

    camera: what `CameraMotion` knows of the last frame; None where the policy does not ask for the camera's motion.
    """

    time: int
    memory: str
    objects: list[ObjectSnapshot]
    camera: Tensor | None = None
