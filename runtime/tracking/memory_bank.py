"""The memory bank: what is kept of past frames for each object, and what the next frame attends to.

Time counts the frames that a tracker was given, whatever their numbers in the video. Which frames are kept and attended
is the memory policy's choice (memory_policy.py); the bank keeps them, bounded whatever the length of the stream, each
with a spatial memory and an object pointer ("MemoryBank" in section 4 of SAM 2's paper).

A spatial memory is one array of tokens, or for models whose memories are sets of tokens two that are kept together: the
tokens' content [tokens, channels], and their blocks [tokens], numbers of a Quadtree's (memory_detail.py).
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
from masklet.runtime.tracking.memory_policy import Attended, ObjectState, Seen
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot


@dataclass(slots=True, eq=False)
class _Memories:
    """What is kept of one object.

    blocks: of spatial memories that are sets of tokens; None for others.
    state, present: what the policy knows after the frame before this one, and after this one, once it was kept.
    """

    spatial: FrameSlots
    blocks: FrameSlots | None
    pointers: FrameSlots
    state: ObjectState
    present: ObjectState | None
    attended: Attended

    @property
    def memories(self) -> list[FrameSlots]:
        """The slots of spatial memories, which are kept together."""
        return [self.spatial] if self.blocks is None else [self.spatial, self.blocks]


class MemoryBank:
    """The memories of every object of one stream. What is read or kept is that of the frame of the last `begin`.

    memory: the policy; the model's own where None.
    limits: how much of what the policy chooses is attended; may change between two frames.
    tokens: of each spatial memory, for models whose memories are sets of tokens.
    Raises PromptError for ids that it does not know.
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
        """The objects that have a memory, in the order in which they joined."""
        return list(self._objects)

    def begin(self, time: int) -> None:
        """Go to a frame: settle what each object attends to on it. Times increase."""
        settled = time > self._time
        self._time = time
        for of in self._objects.values():
            if settled and of.present is not None:
                of.state, of.present = of.present, None
            self._settle(of)

    def choose(self, object_id: int, seen: Seen) -> int | None:
        """The candidate that the policy takes on the present frame; None for the decoder's own choice."""
        return self.policy.choose(self._objects[object_id].state, seen)

    def keep(
        self,
        object_id: int,
        seen: Seen,
        pinned: bool,
        memory: Tensor,
        pointer: Tensor,
        blocks: Tensor | None = None,
    ) -> None:
        """Keep the present frame of an object, which joins by its first one.

        memory: [tokens, channels]; pointer: [channels]; pinned: whether it is to stay, as prompted frames do; blocks:
        [tokens] int64, of memories that are sets of tokens.
        """
        if object_id not in self._objects:
            self._admit(object_id, self.policy.start())
        of = self._objects[object_id]
        of.spatial.put(self._time, memory)
        if of.blocks is not None and blocks is not None:
            of.blocks.put(self._time, blocks)
        of.pointers.put(self._time, pointer)
        of.present = self.policy.after(of.state, seen, pinned)

    def forget(self, object_id: int) -> None:
        """Drop everything about an object."""
        self._known(object_id)
        del self._objects[object_id]

    def forget_recent(self, object_id: int) -> None:
        """Drop an object's frames near the present one that are not pinned, where it was prompted (vp 956-975)."""
        of = self._objects[object_id]
        since = self._time - self._spec.recent_frames - 1
        for slots in (*of.memories, of.pointers):
            slots.drop_since(since, of.state.pinned)
        self._revise(of, lambda state: self.policy.forgotten(state, since))

    def unpin(self, object_id: int, times: Collection[int]) -> None:
        """Let an object's frames of these times count as any other."""

        def unpinned(state: ObjectState) -> ObjectState:
            return replace(state, pinned=tuple(t for t in state.pinned if t not in times))

        self._revise(self._objects[object_id], unpinned)

    def attended(self, object_id: int) -> Attended:
        """What the present frame attends to, of what is there."""
        of = self._objects[object_id]
        return Attended(of.spatial.among(of.attended.memories), of.pointers.among(of.attended.pointers))

    def batches(self, object_ids: Iterable[int], largest: int) -> list[list[int]]:
        """Objects that can attend in one call, because they attend to equally much; at most `largest` a batch."""
        groups: dict[tuple[int, int], list[int]] = {}
        for object_id in object_ids:
            memories, pointers = self.attended(object_id)
            groups.setdefault((len(memories), len(pointers)), []).append(object_id)
        return [ids[i : i + largest] for ids in groups.values() for i in range(0, len(ids), largest)]

    def feeds(self, object_ids: Sequence[int]) -> dict[str, Tensor]:
        """The memory side of the memory attention's inputs for a batch of objects.

        memory [objects, memories, tokens, channels] and pointers [objects, pointers, channels] as they are kept, for
        memories that are sets of tokens also memory_place [objects, memories, tokens] int64;
        memory_time [objects, memories] int64: the frame's row in the model's temporal table; pointer_time [objects,
        pointers] float32: its distance over the farthest one that counts (sb 623, with the limit of an endless stream).
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
        """A copy of every object's memories."""
        objects = [self.object_snapshot(object_id) for object_id in self._objects]
        return TrackerSnapshot(self._time, policy_text(self.policy), objects)

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """A copy of an object's memories after the present frame."""
        of = self._known(object_id)
        state = msgspec.to_builtins(of.present or of.state)
        blocks = None if of.blocks is None else of.blocks.snapshot()
        return ObjectSnapshot(object_id, of.spatial.snapshot(), of.pointers.snapshot(), state, blocks)

    def restore(self, snapshot: TrackerSnapshot) -> None:
        """Take up objects from a snapshot. Raises StateError where it is of another model or policy."""
        policy = policy_text(self.policy)
        if snapshot.memory != policy:
            raise StateError(f"a state under memory policy {snapshot.memory}, not {policy}; give that policy")
        self._time = snapshot.time
        for one in snapshot.objects:
            self.put_back(one)

    def put_back(self, one: ObjectSnapshot) -> None:
        """Take up an object from a snapshot, in place of what is known of it; the next `begin` settles it.

        Raises StateError where the snapshot is of another model or policy.
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
            raise PromptError(f"no object {object_id} is tracked; there are {self.object_ids or 'none'}")
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
        """Change what is known of past frames; what was known after the present one follows."""
        of.state = change(of.state)
        if of.present is not None:
            of.present = change(of.present)
        self._settle(of)

    def _settle(self, of: _Memories) -> None:
        """Drop what the policy does not keep, and note what the present frame attends to."""
        memories, pointers = self.policy.kept(of.state, self._time)
        for slots in of.memories:
            slots.begin(self._time, memories)
        of.pointers.begin(self._time, pointers)
        of.attended = self.limits.cut(self.policy.attended(of.state, self._time), of.state.pinned)


def _gathered(attended: Sequence[tuple[Tensor, list[int]]]) -> tuple[Tensor, list[list[int]]]:
    """Several objects' values as [objects, kept, ...], those of one without a copy; and the places of each."""
    places = [each for _, each in attended]
    if len(attended) == 1:
        return attended[0][0][None], places
    return np.stack([values for values, _ in attended]), places
