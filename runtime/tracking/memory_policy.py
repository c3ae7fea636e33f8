"""What a memory policy is: it looks at what the decoder gave, and says which frames of an object are remembered.

A policy decides and the memory bank obeys: which candidate mask is taken, which frames are kept, which of them the next
frame attends to, and at which place in time. It holds no arrays. What it knows of one object is its state, a small
frozen value in the bank's hands: a correction goes on from the state before the frame, objects join and leave, and a
state can be written to disk.
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
    """What the decoder gave of one object on one frame: all that a policy looks at.

    time:           of the frame, in frames given to the tracker.
    prompted:       whether a user prompted the object on this frame.
    mask:           [h, w] logits of the mask that was taken, at low resolution.
    score:          logit of the object being visible.
    iou:            predicted IoU of the mask that was taken, 0..1.
    effective_iou:  `iou`, times how surely the object is visible, 0..1 (sam3_tracker_base.py 509, cal_mem_score).
    candidates:     [n, h, w] logits of the masks among which one is taken; None where there was no choice.
    candidate_ious: [n], their predicted IoUs; None where there was no choice.
    camera:         how the camera moved since the frame before; None where it is not known or not asked for.
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
    """What a policy takes in the place of the decoder's choice.

    candidate: index of a candidate; None for the one that the decoder took.
    mask:      [h, w] logits to take in the place of its own; None for its own.
    """

    candidate: int | None
    mask: Tensor | None = None


class Slots(NamedTuple):
    """How many frames of one object are kept at most: their spatial memories, and their pointers."""

    memories: int
    pointers: int


class Attended(NamedTuple):
    """What a frame attends to; frames that the bank does not have are passed over.

    memories: time of a frame -> row of its memory in the model's temporal table.
    pointers: time of a frame -> distance of its pointer, in frames.
    """

    memories: Mapping[int, int]
    pointers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class ObjectState:
    """What every policy knows of one object. pinned: times of the frames that stay, the oldest first."""

    pinned: tuple[int, ...] = ()


class PolicyOptions(Protocol):
    """The constants of a policy: a frozen dataclass that checks itself, and raises PolicyError."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


def check_range(options: PolicyOptions, low: float, high: float, *names: str) -> None:
    """Raise PolicyError where an option of these names is not within low..high."""
    for name in names:
        value = getattr(options, name)
        if not low <= value <= high:
            raise PolicyError(f"{name} {value} is out of range; give {low} to {high}")


State = TypeVar("State", bound=ObjectState)
Options = TypeVar("Options", bound=PolicyOptions)


class MemoryPolicy(ABC, Generic[State, Options]):
    """One rule of what is remembered. Its methods change nothing: a state goes in, another comes out.

    name:    as users write it, and the name of the policy's file.
    needs:   outputs of the mask decoder that it cannot do without.
    chooses: whether it may take another candidate than the decoder did.
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
        """The state after a frame. pinned: whether the frame is to stay, as prompted frames do."""

    @abstractmethod
    def attended(self, state: State, now: int) -> Attended:
        """What the frame at `now` attends to."""

    @property
    def follows_camera(self) -> bool:
        """Whether it asks how the camera moves."""
        return False

    def choose(self, state: State, seen: Seen) -> Choice | None:
        """What is taken on a frame without a prompt; None for the decoder's own choice."""
        return None

    def kept(self, state: State, now: int) -> tuple[set[int], set[int]]:
        """Times of the memories and of the pointers that the frame at `now`, or a later one, may attend to."""
        memories, pointers = self.attended(state, now)
        return set(memories), set(pointers)

    def forgotten(self, state: State, since: int) -> State:
        """The state without the frames from `since` on that are not pinned."""
        return state

    @property
    def slots(self) -> Slots:
        """How many frames it keeps at most."""
        return Slots(
            self.spec.prompted_frames + self.spec.recent_frames, self.spec.prompted_frames + self.spec.pointers - 1
        )

    def latest_pinned(self, state: ObjectState) -> Sequence[int]:
        """The pinned frames that are attended as such: the latest, up to the model's cap (sb 565)."""
        return state.pinned[-self.spec.prompted_frames :]

    def pinned_after(self, state: ObjectState, seen: Seen, pinned: bool) -> tuple[int, ...]:
        """The pinned times after a frame. Beyond the cap only those that may still count as recent ones are known."""
        times = (*(t for t in state.pinned if t != seen.time), *((seen.time,) if pinned else ()))
        latest = times[-self.spec.prompted_frames :]
        oldest = seen.time - max(self.spec.pointers, self.spec.recent_frames + 1)
        return tuple(t for t in times if t in latest or t > oldest)

    def ranked(self, now: int, pinned: Sequence[int], memories: Sequence[int], pointers: Sequence[int]) -> Attended:
        """What is attended of pinned frames, and of others by their rank, the newest first.

        Memories of pinned frames have the last temporal row, of others their rank (sb 582); pointers of pinned frames
        are as far as the frame is, of others as far as their rank says (sb 623).
        """
        return Attended(
            {t: row for row, t in enumerate(memories)} | dict.fromkeys(pinned, self.spec.recent_frames),
            {t: distance for distance, t in enumerate(pointers, start=1)} | {t: now - t for t in pinned},
        )
