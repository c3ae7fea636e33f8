"""The memory bank: what is kept of past frames for each object, and what the next frame attends to.

Time counts the frames that a tracker was given, whatever their numbers in the video. An object keeps, bounded
whatever the length of the stream, its prompted frames (pinned, up to a cap) and a window of recent frames, each with
a spatial memory and an object pointer (SAM 2: sam2_base.py 497-645, "MemoryBank" in section 4 of the paper).
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.snapshot import KeptFrame, ObjectSnapshot, SlotsSnapshot
from masklet.runtime.spec import MemoryPolicy, ModelSpec, Tensor


class Attended(NamedTuple):
    """A frame that is attended to: when it was given, and whether as a prompted one or as a recent one."""

    time: int
    pinned: bool


class _Kept(NamedTuple):
    time: int
    prompted: bool


class FrameSlots:
    """What one object keeps of one kind, in a fixed array whose filled slots are always its first ones.

    Attention does not care for the order of memories, only for their time; so a new frame takes the slot of the one
    that left, and what is attended is a view of the array, never a copy. The present frame waits outside of it until
    a later one comes: it may still be corrected, and a correction attends to what the frame itself attended to.
    """

    def __init__(self, window: int, prompted: int, shape: Sequence[int], dtype: str) -> None:
        self._window = window
        self._prompted = prompted
        self._array: Tensor = np.empty((window + prompted, *shape), dtype)
        self._kept: list[_Kept] = []
        self._present: tuple[_Kept, Tensor] | None = None

    def put(self, time: int, prompted: bool, value: Tensor) -> None:
        """Keep a frame, in place of what was kept of the same time."""
        self._settle(time)
        self._keep_beside(value)
        self._present = _Kept(time, prompted), value

    def forget_recent(self, time: int, since: int) -> None:
        """Let go of the unprompted frames kept from `since` up to `time`."""
        self._settle(time)
        self._drop(self._where(lambda kept: not kept.prompted and kept.time >= since))

    def unpin(self, times: Collection[int]) -> None:
        """Let frames of these times count as unprompted ones."""
        self._kept = [k._replace(prompted=k.prompted and k.time not in times) for k in self._kept]
        if self._present is not None and self._present[0].time in times:
            self._present = self._present[0]._replace(prompted=False), self._present[1]

    def attended(self, time: int) -> tuple[Tensor, list[Attended]]:
        """What a frame at `time` attends to: a view [kept, ...] and, in the same order, what each of them is."""
        self._settle(time)
        pinned = self._pinned()
        return self._array[: len(self._kept)], [Attended(kept.time, kept.time in pinned) for kept in self._kept]

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

    def _settle(self, time: int) -> None:
        """Take up the frame that was present before `time`, and let go of what a frame at `time` no longer needs."""
        arrived = self._present if self._present is not None and self._present[0].time < time else None
        pinned = self._pinned(arrived[0] if arrived else None)
        leaving = self._where(lambda kept: kept.time not in pinned and kept.time < time - self._window)
        if arrived:
            self._present = None
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
        self._spatial: dict[int, FrameSlots] = {}
        self._pointers: dict[int, FrameSlots] = {}

    @property
    def object_ids(self) -> list[int]:
        """The objects that have a memory, in the order in which they joined."""
        return list(self._spatial)

    def keep(self, object_id: int, time: int, prompted: bool, memory: Tensor, pointer: Tensor) -> None:
        """Keep a frame of an object. memory: [tokens, channels]; pointer: [channels]."""
        if object_id not in self._spatial:
            self._admit(object_id)
        self._spatial[object_id].put(time, prompted, memory)
        self._pointers[object_id].put(time, prompted, pointer)

    def forget(self, object_id: int) -> None:
        """Let go of everything about an object."""
        if object_id not in self._spatial:
            raise PromptError(f"no object {object_id} is tracked; there are {self.object_ids or 'none'}")
        del self._spatial[object_id], self._pointers[object_id]

    def forget_recent(self, object_id: int, time: int) -> None:
        """Let go of an object's unprompted frames near `time`, where it was prompted (vp 956-975)."""
        since = time - self._policy.recent_frames - 1
        self._spatial[object_id].forget_recent(time, since)
        self._pointers[object_id].forget_recent(time, since)

    def unpin(self, object_id: int, times: Collection[int]) -> None:
        """Let an object's frames of these times count as unprompted ones."""
        self._spatial[object_id].unpin(times)
        self._pointers[object_id].unpin(times)

    def batches(self, object_ids: Iterable[int], time: int, largest: int) -> list[list[int]]:
        """Objects that can attend in one call, because they keep equally many frames; at most `largest` a batch."""
        groups: dict[tuple[int, int], list[int]] = {}
        for object_id in object_ids:
            key = (
                len(self._spatial[object_id].attended(time)[1]),
                len(self._pointers[object_id].attended(time)[1]),
            )
            groups.setdefault(key, []).append(object_id)
        return [ids[i : i + largest] for ids in groups.values() for i in range(0, len(ids), largest)]

    def feeds(self, object_ids: Sequence[int], time: int) -> dict[str, Tensor]:
        """The memory side of the memory attention's inputs for a batch of objects.

        memory [objects, memories, tokens, channels] and pointers [objects, pointers, channels] as they are kept;
        memory_time [objects, memories] int64: the frame's row in the model's temporal table, the last row for
        prompted frames and distance - 1 for others (sb 582); pointer_time [objects, pointers] float32: distance in
        frames over the farthest one that counts (sb 623, with the limit of an endless stream).
        """
        memory, memory_kept = self._gather(self._spatial, object_ids, time)
        pointers, pointers_kept = self._gather(self._pointers, object_ids, time)
        prompted_row = self._policy.recent_frames
        rows = [[prompted_row if k.pinned else time - k.time - 1 for k in kept] for kept in memory_kept]
        farthest = np.float32(self._policy.pointers - 1)
        distances = np.array([[time - k.time for k in kept] for kept in pointers_kept], np.float32)
        return {
            "memory": memory,
            "memory_time": np.array(rows, np.int64),
            "pointers": pointers,
            "pointer_time": distances / farthest,
        }

    def snapshot(self) -> list[ObjectSnapshot]:
        """A copy of every object's memories."""
        return [ObjectSnapshot(i, self._spatial[i].snapshot(), self._pointers[i].snapshot()) for i in self._spatial]

    def restore(self, objects: Iterable[ObjectSnapshot]) -> None:
        """Take up objects from a snapshot. Raises StateError where it is of another model."""
        for one in objects:
            self._admit(one.object_id)
            self._spatial[one.object_id].restore(one.spatial)
            self._pointers[one.object_id].restore(one.pointers)

    def _admit(self, object_id: int) -> None:
        self._spatial[object_id] = self._slots("memory", self._policy.recent_frames)
        self._pointers[object_id] = self._slots("pointers", self._policy.pointers - 1)

    def _slots(self, name: str, window: int) -> FrameSlots:
        tensor = self._inputs[name]
        shape = tensor.sized({s: 1 for s in tensor.shape if isinstance(s, str)})[2:]
        return FrameSlots(window, self._policy.prompted_frames, shape, tensor.dtype)

    def _gather(
        self, slots: dict[int, FrameSlots], object_ids: Sequence[int], time: int
    ) -> tuple[Tensor, list[list[Attended]]]:
        attended = [slots[object_id].attended(time) for object_id in object_ids]
        kept = [k for _, k in attended]
        if len(attended) == 1:
            return attended[0][0][None], kept
        return np.stack([values for values, _ in attended]), kept
