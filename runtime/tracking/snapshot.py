"""What a tracker knows at the end of a frame, as plain data: enough to go on exactly as it would have."""

from dataclasses import dataclass

from masklet.runtime.bundle.spec import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class KeptFrame:
    """A frame that is kept: when it was given, whether as a prompted one."""

    time: int
    prompted: bool


@dataclass(frozen=True, slots=True, eq=False)
class SlotsSnapshot:
    """What one object keeps of one kind. values: [kept, ...], a row a frame; the last is the present one if so said."""

    frames: list[KeptFrame]
    values: Tensor
    last_is_present: bool


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSnapshot:
    """The memories of one object. selected: as in RecentFrames; places: of memories that are sets of tokens."""

    object_id: int
    spatial: SlotsSnapshot
    pointers: SlotsSnapshot
    selected: list[int]
    places: SlotsSnapshot | None = None


@dataclass(frozen=True, slots=True, eq=False)
class TrackerSnapshot:
    """A tracker's time, in frames given, and its objects in the order in which they joined."""

    time: int
    objects: list[ObjectSnapshot]
