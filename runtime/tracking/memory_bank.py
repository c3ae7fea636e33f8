"""The memory bank: what is kept of past frames for each object, and what the next frame attends to.

Time counts the frames that a tracker was given, whatever their numbers in the video. An object keeps, bounded
whatever the length of the stream, its prompted frames (pinned, up to a cap) and a number of recent frames, each with
a spatial memory and an object pointer (SAM 2: sam2_base.py 497-645, "MemoryBank" in section 4 of the paper).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from masklet.runtime.bundle.spec import MemoryPolicy, ModelSpec, Tensor
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.tracking.recent_frames import RecentFrames
from masklet.runtime.tracking.snapshot import KeptFrame, ObjectSnapshot, SlotsSnapshot


class Attended(NamedTuple):
    """A frame that is attended to: when it was given, and its rank among recent ones, None for a prompted one."""

    time: int
    rank: int | None


class _Kept(NamedTuple):
    time: int
    prompted: bool


class FrameSlots:
    """What one object keeps of one kind, in a fixed array whose filled slots are always its first ones.

    Attention does not care for the order of memories, only for their time; so a new frame takes the slot of the one
    that left, and what is attended is a view of the array, never a copy. The present frame waits outside of it until
    a later one comes: it may still be corrected, and a correction attends to what the frame itself attended to.
    `recent`, wherever it is given: the unprompted frames that count at `time`, and their rank; the others leave.
    """

    def __init__(self, window: int, prompted: int, shape: Sequence[int], dtype: str) -> None:
        self._prompted = prompted
        self._array: Tensor = np.empty((window + prompted, *shape), dtype)
        self._kept: list[_Kept] = []
        self._present: tuple[_Kept, Tensor] | None = None

    def put(self, time: int, recent: Mapping[int, int], prompted: bool, value: Tensor) -> None:
        """Keep a frame, in place of what was kept of the same time."""
        self._settle(time, recent)
        self._keep_beside(value)
        self._present = _Kept(time, prompted), value

    def forget_recent(self, time: int, recent: Mapping[int, int], since: int) -> None:
        """Let go of the unprompted frames kept from `since` up to `time`."""
        self._settle(time, recent)
        self._drop(self._where(lambda kept: not kept.prompted and kept.time >= since))

    def unpin(self, times: Collection[int]) -> None:
        """Let frames of these times count as unprompted ones."""
        self._kept = [k._replace(prompted=k.prompted and k.time not in times) for k in self._kept]
        if self._present is not None and self._present[0].time in times:
            self._present = self._present[0]._replace(prompted=False), self._present[1]

    def attended(self, time: int, recent: Mapping[int, int]) -> tuple[Tensor, list[Attended]]:
        """What a frame at `time` attends to: a view [kept, ...] and, in the same order, what each of them is."""
        self._settle(time, recent)
        pinned = self._pinned()
        kept = [Attended(k.time, None if k.time in pinned else recent[k.time]) for k in self._kept]
        return self._array[: len(kept)], kept

    def snapshot(self) -> SlotsSnapshot:
        """A copy of what is kept, in the order of its slots, with the present frame last."""
        rows, kept = self._array[: len(self._kept)], self._kept
        if self._present is not None:
            rows, kept = np.concatenate([rows, self._present[1][None]]), [*kept, self._present[0]]
        return SlotsSnapshot([KeptFrame(*k) for k in kept], np.array(rows), self._present is not None)

    def restore(self, snapshot: SlotsSnapshot) -> None:
        """Keep what a snapshot holds, slot by slot. Raises StateError where it is of another model."""
        kept = [_Kept(frame.time, frame.prompted) for frame in snapshot.frames]
        values, settled = snapshot.values, len(kept) - snapshot.last_is_present
        fits = values.shape == (len(kept), *self._array.shape[1:]) and 0 <= settled <= len(self._array)
        if not fits or values.dtype != self._array.dtype:
            raise StateError(f"a state holds {values.dtype}{list(values.shape)} of {len(kept)} frames: another model's")
        self._array[:settled] = values[:settled]
        self._kept = kept[:settled]
        self._present = (kept[-1], values[-1].copy()) if snapshot.last_is_present else None

    def _keep_beside(self, value: Tensor) -> None:
        """Keep memories where their values come to lie: a backend may leave them on its device (`DeviceArray`)."""
        if type(value) is not type(self._array):
            kept = self._array[: len(self._kept)]
            self._array = np.empty_like(value, shape=self._array.shape)
            self._array[: len(kept)] = kept

    def _settle(self, time: int, recent: Mapping[int, int]) -> None:
        """Take up the frame that was present before `time`, and let go of what a frame at `time` no longer needs."""
        arrived = self._present if self._present is not None and self._present[0].time < time else None
        counting = {*recent, *self._pinned(arrived[0] if arrived else None)}
        leaving = self._where(lambda kept: kept.time not in counting)
        if arrived:
            self._present = None
        if arrived and arrived[0].time in counting:
            slot = leaving.pop() if leaving else len(self._kept)
            self._kept[slot : slot + 1] = [arrived[0]]
            self._array[slot] = arrived[1]
        self._drop(leaving)

    def _pinned(self, arrived: _Kept | None = None) -> set[int]:
        """Times of the latest prompted frames, up to the cap; an older one counts as recent or leaves (sb 565)."""
        kept = [*self._kept, arrived] if arrived else self._kept
        return set(sorted(k.time for k in kept if k.prompted)[-self._prompted :])

    def _where(self, holds: Callable[[_Kept], bool]) -> list[int]:
        return [slot for slot, kept in enumerate(self._kept) if holds(kept)]

    def _drop(self, slots: list[int]) -> None:
        """Empty slots, moving the last ones into the gaps."""
        for slot in reversed(slots):
            last = len(self._kept) - 1
            if slot != last:
                self._array[slot] = self._array[last]
                self._kept[slot] = self._kept[last]
            self._kept.pop()


@dataclass(frozen=True, slots=True)
class _Memories:
    """What is kept of one object."""

    spatial: FrameSlots
    pointers: FrameSlots
    recent: RecentFrames

    def attended_memories(self, time: int) -> tuple[Tensor, list[Attended]]:
        """The spatial memories that a frame at `time` attends to."""
        return self.spatial.attended(time, self.recent.memories(time))

    def attended_pointers(self, time: int) -> tuple[Tensor, list[Attended]]:
        """The pointers that a frame at `time` attends to."""
        return self.pointers.attended(time, self.recent.pointers(time))


class MemoryBank:
    """The memories of every object of one stream.

    Raises PromptError for ids that it does not know.
    """

    def __init__(self, model: ModelSpec) -> None:
        if model.memory is None:
            raise PromptError(
                f"{model.family}/{model.variant} has no memory: it segments images, not videos; use `masklet segment`"
            )
        self._policy: MemoryPolicy = model.memory
        self._inputs = {t.name: t for t in model.stage("memory_attention").inputs}
        self._objects: dict[int, _Memories] = {}

    @property
    def object_ids(self) -> list[int]:
        """The objects that have a memory, in the order in which they joined."""
        return list(self._objects)

    def keep(
        self, object_id: int, time: int, prompted: bool, memory: Tensor, pointer: Tensor, effective_iou: float = 1.0
    ) -> None:
        """Keep a frame of an object. memory: [tokens, channels]; pointer: [channels]; effective_iou: MemoryPolicy."""
        if object_id not in self._objects:
            self._admit(object_id)
        of = self._objects[object_id]
        of.spatial.put(time, of.recent.memories(time), prompted, memory)
        of.pointers.put(time, of.recent.pointers(time), prompted, pointer)
        of.recent.note(time, prompted, effective_iou)

    def forget(self, object_id: int) -> None:
        """Let go of everything about an object."""
        if object_id not in self._objects:
            raise PromptError(f"no object {object_id} is tracked; there are {self.object_ids or 'none'}")
        del self._objects[object_id]

    def forget_recent(self, object_id: int, time: int) -> None:
        """Let go of an object's unprompted frames near `time`, where it was prompted (vp 956-975)."""
        since = time - self._policy.recent_frames - 1
        of = self._objects[object_id]
        of.spatial.forget_recent(time, of.recent.memories(time), since)
        of.pointers.forget_recent(time, of.recent.pointers(time), since)
        of.recent.forget(since)

    def unpin(self, object_id: int, times: Collection[int]) -> None:
        """Let an object's frames of these times count as unprompted ones."""
        self._objects[object_id].spatial.unpin(times)
        self._objects[object_id].pointers.unpin(times)

    def batches(self, object_ids: Iterable[int], time: int, largest: int) -> list[list[int]]:
        """Objects that can attend in one call, because they keep equally many frames; at most `largest` a batch."""
        groups: dict[tuple[int, int], list[int]] = {}
        for object_id in object_ids:
            of = self._objects[object_id]
            key = len(of.attended_memories(time)[1]), len(of.attended_pointers(time)[1])
            groups.setdefault(key, []).append(object_id)
        return [ids[i : i + largest] for ids in groups.values() for i in range(0, len(ids), largest)]

    def feeds(self, object_ids: Sequence[int], time: int) -> dict[str, Tensor]:
        """The memory side of the memory attention's inputs for a batch of objects.

        memory [objects, memories, tokens, channels] and pointers [objects, pointers, channels] as they are kept;
        memory_time [objects, memories] int64: the frame's row in the model's temporal table, the last row for
        prompted frames and rank - 1 for others (sb 582); pointer_time [objects, pointers] float32: distance in frames,
        of unprompted ones their rank, over the farthest one that counts (sb 623, with the limit of an endless stream).
        """
        several = [self._objects[object_id] for object_id in object_ids]
        memory, memory_kept = _gathered([of.attended_memories(time) for of in several])
        pointers, pointers_kept = _gathered([of.attended_pointers(time) for of in several])
        prompted_row = self._policy.recent_frames
        rows = [[prompted_row if k.rank is None else k.rank - 1 for k in kept] for kept in memory_kept]
        distances = [[time - k.time if k.rank is None else k.rank for k in kept] for kept in pointers_kept]
        farthest = np.float32(self._policy.pointers - 1)
        return {
            "memory": memory,
            "memory_time": np.array(rows, np.int64),
            "pointers": pointers,
            "pointer_time": np.array(distances, np.float32) / farthest,
        }

    def snapshot(self) -> list[ObjectSnapshot]:
        """A copy of every object's memories."""
        return [
            ObjectSnapshot(i, of.spatial.snapshot(), of.pointers.snapshot(), list(of.recent.selected))
            for i, of in self._objects.items()
        ]

    def restore(self, objects: Iterable[ObjectSnapshot]) -> None:
        """Take up objects from a snapshot. Raises StateError where it is of another model."""
        for one in objects:
            self._admit(one.object_id, one.selected)
            self._objects[one.object_id].spatial.restore(one.spatial)
            self._objects[one.object_id].pointers.restore(one.pointers)

    def _admit(self, object_id: int, selected: Sequence[int] = ()) -> None:
        self._objects[object_id] = _Memories(
            self._slots("memory", self._policy.recent_frames),
            self._slots("pointers", self._policy.pointers - 1),
            RecentFrames(self._policy, selected),
        )

    def _slots(self, name: str, window: int) -> FrameSlots:
        tensor = self._inputs[name]
        shape = tensor.sized({s: 1 for s in tensor.shape if isinstance(s, str)})[2:]
        return FrameSlots(window, self._policy.prompted_frames, shape, tensor.dtype)


def _gathered(attended: Sequence[tuple[Tensor, list[Attended]]]) -> tuple[Tensor, list[list[Attended]]]:
    """Several objects' values as [objects, kept, ...], those of one without a copy; and what is kept of each."""
    kept = [frames for _, frames in attended]
    if len(attended) == 1:
        return attended[0][0][None], kept
    return np.stack([values for values, _ in attended]), kept
