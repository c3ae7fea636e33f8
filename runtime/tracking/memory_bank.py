"""The memory bank: the memories of past frames of each object, and those that the next frame attends to.

Time counts the frames given to a tracker, not their numbers in the video. The memory policy decides which frames are
kept and attended to (memory_policy.py). The bank stores a spatial memory and an object pointer of each ("memory bank"
in section 4 of the SAM 2 paper); its size is bounded for a stream of any length.

A spatial memory is one array of tokens. For models whose memories are sets of tokens there are two arrays: the content
of the tokens [tokens, channels], and their blocks [tokens], numbers in a Quadtree (memory_detail.py).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from masklet.runtime.bundle.spec import ModelSpec, Tensor
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.tracking.frame_slots import FrameSlots
from masklet.runtime.tracking.known_policies import Memory, policy_of, policy_text
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.memory_policy import Attended, Choice, ObjectState, Seen
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot


@dataclass(slots=True, eq=False)
class _Memories:
    """The memories of one object.

    blocks:  of spatial memories that are sets of tokens; None for others.
    state:   state of the policy after the previous frame.
    present: state of the policy after the current frame, once it is stored.
    """

    spatial: FrameSlots
    blocks: FrameSlots | None
    pointers: FrameSlots
    state: ObjectState
    present: ObjectState | None
    attended: Attended

    @property
    def memories(self) -> list[FrameSlots]:
        """The slots of spatial memories, which change together."""
        return [self.spatial] if self.blocks is None else [self.spatial, self.blocks]


class MemoryBank:
    """The memories of every object of one stream. The current frame is that of the last `begin`.

    memory: memory policy; None for the model's own.
    limits: how much of the policy's choice is attended to; may change between two frames.
    tokens: tokens of each spatial memory, for models whose memories are sets of tokens.
    Raises PromptError for unknown ids.
    """

    def __init__(
        self,
        model: ModelSpec,
        memory: Memory = None,
        limits: MemoryLimits = MemoryLimits(),
        tokens: int | None = None,
    ) -> None:
        self.policy, self.limits = policy_of(model, memory), limits
        self._spec = self.policy.spec
        self._inputs = {t.name: t for t in model.stage("memory_attention").inputs}
        self._tokens = tokens
        self._objects: dict[int, _Memories] = {}
        self._time = -1

    @property
    def object_ids(self) -> list[int]:
        """Ids of the objects with a memory, in the order in which they were added."""
        return list(self._objects)

    def begin(self, time: int) -> None:
        """Go to a frame, and determine what each object attends to on it. Times increase."""
        settled = time > self._time
        self._time = time
        for of in self._objects.values():
            if settled and of.present is not None:
                of.state, of.present = of.present, None
            self._settle(of)

    def choose(self, object_id: int, seen: Seen) -> Choice | None:
        """What the policy chooses on the current frame; None for the decoder's choice."""
        return self.policy.choose(self._objects[object_id].state, seen)

    def note(self, object_id: int, seen: Seen, pinned: bool) -> bool:
        """Update the policy's state with the current frame of an object; returns whether to keep a memory of the frame.

        The first frame of an object adds the object.

        pinned: whether the frame stays, as prompted frames do.
        """
        if object_id not in self._objects:
            self._admit(object_id, self.policy.start())
        of = self._objects[object_id]
        of.present = self.policy.after(of.state, seen, pinned)
        memories, _ = self.policy.kept(of.present, self._time + 1)
        return self._time in memories

    def keep(self, object_id: int, memory: Tensor | None, pointer: Tensor, blocks: Tensor | None = None) -> None:
        """Store the current frame of an object, in place of what was stored of it; call `note` first.

        memory:  [tokens, channels]; None if none is kept.
        pointer: [channels].
        blocks:  [tokens] int64, for memories that are sets of tokens.
        """
        of = self._objects[object_id]
        of.spatial.put(self._time, memory)
        if of.blocks is not None:
            of.blocks.put(self._time, blocks)
        of.pointers.put(self._time, pointer)

    def forget(self, object_id: int) -> None:
        """Drop an object and its memories."""
        self._known(object_id)
        del self._objects[object_id]

    def forget_recent(self, object_id: int) -> None:
        """Drop the unpinned frames of an object near the current, prompted one (vp 956-975)."""
        of = self._objects[object_id]
        since = self._time - self._spec.recent_frames - 1
        for slots in (*of.memories, of.pointers):
            slots.drop_since(since, of.state.pinned)
        self._revise(of, lambda state: self.policy.forgotten(state, since))

    def unpin(self, object_id: int, times: Collection[int]) -> None:
        """Unpin the frames of an object at these times."""

        def unpinned(state: ObjectState) -> ObjectState:
            return replace(state, pinned=tuple(t for t in state.pinned if t not in times))

        self._revise(self._objects[object_id], unpinned)

    def attended(self, object_id: int) -> Attended:
        """The stored frames that the current frame attends to."""
        of = self._objects[object_id]
        return Attended(of.spatial.among(of.attended.memories), of.pointers.among(of.attended.pointers))

    def batches(self, object_ids: Iterable[int], largest: int) -> list[list[int]]:
        """Batches of objects that attend to equal numbers of memories and pointers; at most `largest` per batch."""
        groups: dict[tuple[int, int], list[int]] = {}
        for object_id in object_ids:
            memories, pointers = self.attended(object_id)
            groups.setdefault((len(memories), len(pointers)), []).append(object_id)
        return [ids[i : i + largest] for ids in groups.values() for i in range(0, len(ids), largest)]

    def feeds(self, object_ids: Sequence[int]) -> dict[str, Tensor]:
        """The memory inputs of memory attention for a batch of objects.

        memory       [objects, memories, tokens, channels] and pointers [objects, pointers, channels], as stored;
        memory_place [objects, memories, tokens] int64, for memories that are sets of tokens;
        memory_time  [objects, memories] int64: row of the frame in the model's temporal table;
        pointer_time [objects, pointers] float32: distance divided by the largest possible one (sb 623, with the limit
                     for an endless stream).
        """
        several = [self._objects[object_id] for object_id in object_ids]
        memory, rows = _gathered([of.spatial.attended(of.attended.memories) for of in several])
        pointers, distances = _gathered([of.pointers.attended(of.attended.pointers) for of in several])
        blocks = [of.blocks.attended(of.attended.memories) for of in several if of.blocks is not None]
        farthest = np.float32(self._spec.pointers - 1)
        return {
            "memory": memory,
            "memory_time": np.array(rows, np.int64),
            "pointers": pointers,
            "pointer_time": np.array(distances, np.float32) / farthest,
            **({"memory_place": _gathered(blocks)[0]} if blocks else {}),
        }

    def snapshot(self) -> TrackerSnapshot:
        """A copy of the memories of every object."""
        objects = [self.object_snapshot(object_id) for object_id in self._objects]
        return TrackerSnapshot(self._time, policy_text(self.policy), objects)

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """A copy of the memories of an object after the current frame."""
        of = self._known(object_id)
        state = msgspec.to_builtins(of.present or of.state)
        blocks = None if of.blocks is None else of.blocks.snapshot()
        return ObjectSnapshot(object_id, of.spatial.snapshot(), of.pointers.snapshot(), state, blocks)

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Restore all objects of a snapshot. Raises StateError if it is of another model or policy."""
        policy = policy_text(self.policy)
        if snapshot.memory != policy:
            raise StateError(f"the state is of memory policy {snapshot.memory}, not {policy}; give that policy")
        self._time = snapshot.time
        for one in snapshot.objects:
            self.put_back(one)

    def put_back(self, one: ObjectSnapshot) -> None:
        """Restore an object from a snapshot, replacing its current memories; they are used from the next `begin` on.

        Raises StateError if the snapshot is of another model or policy.
        """
        try:
            state = msgspec.convert(one.state, self.policy.state_type)
        except msgspec.ValidationError as error:
            policy = policy_text(self.policy)
            raise StateError(f"a state that memory policy {policy} cannot read: {error}") from None
        self._admit(one.object_id, state)
        of = self._objects[one.object_id]
        of.spatial.restore(one.spatial)
        of.pointers.restore(one.pointers)
        if (of.blocks is None) != (one.blocks is None):
            raise StateError("a state holds memories of another kind: of another variant of the model")
        if of.blocks is not None and one.blocks is not None:
            of.blocks.restore(one.blocks)

    def _known(self, object_id: int) -> _Memories:
        if object_id not in self._objects:
            raise PromptError(f"no object {object_id} is tracked; tracked objects: {self.object_ids or 'none'}")
        return self._objects[object_id]

    def _admit(self, object_id: int, state: ObjectState) -> None:
        slots = self.policy.slots
        spatial, pointers = self._slots("memory", slots.memories), self._slots("pointers", slots.pointers)
        blocks = self._slots("memory_place", slots.memories) if "memory_place" in self._inputs else None
        self._objects[object_id] = _Memories(spatial, blocks, pointers, state, None, Attended({}, {}))

    def _slots(self, name: str, count: int) -> FrameSlots:
        tensor = self._inputs[name]
        shape = tensor.sized({s: self._tokens or 1 for s in tensor.shape if isinstance(s, str)})[2:]
        return FrameSlots(count, shape, tensor.dtype)

    def _revise(self, of: _Memories, change: Callable[[Any], ObjectState]) -> None:
        """Change the state of past frames, and that of the current frame accordingly."""
        of.state = change(of.state)
        if of.present is not None:
            of.present = change(of.present)
        self._settle(of)

    def _settle(self, of: _Memories) -> None:
        """Drop the frames that the policy does not keep, and determine what the current frame attends to."""
        memories, pointers = self.policy.kept(of.state, self._time)
        for slots in of.memories:
            slots.begin(self._time, memories)
        of.pointers.begin(self._time, pointers)
        of.attended = self.limits.cut(self.policy.attended(of.state, self._time), of.state.pinned)
        for slots in of.memories:
            slots.bring_forward(of.attended.memories)
        of.pointers.bring_forward(of.attended.pointers)


def _gathered(attended: Sequence[tuple[Tensor, list[int]]]) -> tuple[Tensor, list[list[int]]]:
    """Stack the values of several objects as [objects, kept, ...], without a copy for one object; and their places."""
    places = [each for _, each in attended]
    if len(attended) == 1:
        return attended[0][0][None], places
    return np.stack([values for values, _ in attended]), places
