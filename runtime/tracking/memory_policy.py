"""The base class of memory policies: from the outputs of the decoder it decides which frames are remembered.

A policy decides which candidate mask is used, which frames are kept, which of them the next frame attends to, and at
which temporal position; the memory bank carries it out. A policy holds no arrays. Its knowledge of an object is a small
frozen state that the bank stores: a correction continues from the state before the frame, objects can be added and
removed, and a state can be written to disk.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

from masklet.runtime.bundle.spec import MemorySpec, Tensor
from masklet.runtime.errors import PolicyError
from masklet.runtime.tracking.camera_motion import CameraMove


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The decoder's results for one object on one frame: the input of a policy.

    time:           time of the frame, in frames given to the tracker.
    prompted:       whether a user prompted the object on this frame.
    mask:           [h, w] logits of the chosen mask, at low resolution.
    score:          logit that the object is visible.
    iou:            predicted IoU of the chosen mask, 0..1.
    effective_iou:  `iou` times the visibility of the object, 0..1 (sam3_tracker_base.py 509, cal_mem_score).
    candidates:     [n, h, w] logits of the candidate masks; None if there was no choice.
    candidate_ious: [n], their predicted IoUs; None if there was no choice.
    camera:         motion of the camera since the previous frame; None if unknown or not requested.
    """

    time: int
    prompted: bool
    mask: Tensor
    score: float
    iou: float
    effective_iou: float
    candidates: Tensor | None = None
    candidate_ious: Tensor | None = None
    camera: CameraMove | None = None


class Choice(NamedTuple):
    """What a policy uses instead of the decoder's choice.

    candidate: index of a candidate; None for the decoder's choice.
    mask:      [h, w] logits that replace the candidate's mask; None keeps it.
    """

    candidate: int | None
    mask: Tensor | None = None


class Slots(NamedTuple):
    """The maximum number of frames kept for one object: of spatial memories, and of pointers."""

    memories: int
    pointers: int


class Attended(NamedTuple):
    """What a frame attends to; frames that the bank does not have are skipped.

    memories: time of a frame -> row of its memory in the model's temporal table.
    pointers: time of a frame -> distance of its pointer, in frames.
    """

    memories: Mapping[int, int]
    pointers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ObjectState:
    """The state of every policy for one object. pinned: times of pinned frames, the oldest first."""

    pinned: tuple[int, ...] = ()


class PolicyOptions(Protocol):
    """The constants of a policy: a frozen dataclass that checks its values and raises PolicyError."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def check_range(options: PolicyOptions, low: float, high: float, *names: str) -> None:
    """Raise PolicyError if an option of these names is not within low..high."""
    for name in names:
        value = getattr(options, name)
        if not low <= value <= high:
            raise PolicyError(f"{name} {value} is out of range; give {low} to {high}")


State = TypeVar("State", bound=ObjectState)
Options = TypeVar("Options", bound=PolicyOptions)


class MemoryPolicy(ABC, Generic[State, Options]):
    """A rule for what is remembered. Its methods have no side effects: they take a state and return another one.

    name:    the name that users write, and of the policy's file.
    needs:   outputs of the mask decoder that it requires.
    chooses: whether it may choose another candidate than the decoder.
    spec:    the sizes that the model was trained with.
    """

    name: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    chooses: ClassVar[bool] = False
    state_type: type[State]
    options_type: type[Options]

    def __init__(self, spec: MemorySpec, options: Options) -> None:
        self.spec, self.options = spec, options

    def start(self) -> State:
        """The state of an object before its first frame."""
        return self.state_type()

    @abstractmethod
    def after(self, state: State, seen: Seen, pinned: bool) -> State:
        """The state after a frame. pinned: whether the frame stays, as prompted frames do."""

    @abstractmethod
    def attended(self, state: State, now: int) -> Attended:
        """What the frame at `now` attends to."""

    @property
    def follows_camera(self) -> bool:
        """Whether it needs the motion of the camera."""
        return False

    def choose(self, state: State, seen: Seen) -> Choice | None:
        """What is used on a frame without a prompt; None for the decoder's choice."""
        return None

    def kept(self, state: State, now: int) -> tuple[set[int], set[int]]:
        """Times of the memories and of the pointers that the frame at `now`, or a later one, may attend to."""
        memories, pointers = self.attended(state, now)
        return set(memories), set(pointers)

    def forgotten(self, state: State, since: int) -> State:
        """The state without the unpinned frames from `since` on."""
        return state

    @property
    def slots(self) -> Slots:
        """The maximum number of frames it keeps."""
        return Slots(
            self.spec.prompted_frames + self.spec.recent_frames, self.spec.prompted_frames + self.spec.pointers - 1
        )

    def latest_pinned(self, state: ObjectState) -> Sequence[int]:
        """The pinned frames that are attended to as pinned: the latest, up to the model's maximum (sb 565)."""
        return state.pinned[-self.spec.prompted_frames :]

    def pinned_after(self, state: ObjectState, seen: Seen, pinned: bool) -> tuple[int, ...]:
        """The pinned times after a frame. Beyond the maximum, only those that may still count as recent are kept."""
        times = (*(t for t in state.pinned if t != seen.time), *((seen.time,) if pinned else ()))
        latest = times[-self.spec.prompted_frames :]
        oldest = seen.time - max(self.spec.pointers, self.spec.recent_frames + 1)
        return tuple(t for t in times if t in latest or t > oldest)

    def ranked(self, now: int, pinned: Sequence[int], memories: Sequence[int], pointers: Sequence[int]) -> Attended:
        """Attend to pinned frames, and to others by rank, newest first.

        Memories of pinned frames have the last temporal row, others their rank (sb 582). Pointers of pinned frames have
        the distance of the frame, others their rank (sb 623).
        """
        return Attended(
            {t: row for row, t in enumerate(memories)} | dict.fromkeys(pinned, self.spec.recent_frames),
            {t: distance for distance, t in enumerate(pointers, start=1)} | {t: now - t for t in pinned},
        )
