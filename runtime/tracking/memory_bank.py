"""The memory bank: what is kept of past frames for each object, and what the next frame attends to.

Time counts the frames that a tracker was given, whatever their numbers in the video. An object keeps, bounded
whatever the length of the stream, its prompted frames (pinned, up to a cap) and a number of recent frames, each with
a spatial memory and an object pointer (SAM 2: sam2_base.py 497-645, "MemoryBank" in section 4 of the paper).

A spatial memory is one array of tokens, or for models whose memories are sets of tokens two that are kept together: the
tokens' content [tokens, channels], and their places [tokens], numbers of blocks of a Quadtree (memory_detail.py).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
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

    Attention does not depend on the order of memories, only on their time; so a new frame takes the slot of the one
    that left, and what is attended is a view of the array, never a copy. `begin` goes to a frame and settles what it
    attends to; the frame's own value waits outside of the array until the next `begin`, for it may still be corrected,
    and a correction attends to what the frame itself attended to.
    `recent`, wherever it is given: time and rank of the unprompted frames that count; the others leave.
    """

    def __init__(self, window: int, prompted: int, shape: Sequence[int], dtype: str) -> None:
        self._prompted = prompted
        self._array: Tensor = np.empty((window + prompted, *shape), dtype)
        self._kept: list[_Kept] = []
        self._present: tuple[_Kept, Tensor] | None = None
        self._time = -1
        self._recent: Mapping[int, int] = {}
        self._attended: list[Attended] = []

    def begin(self, time: int, recent: Mapping[int, int]) -> None:
        """Go to a frame: take up the one before it, and drop what no longer counts."""
        self._time, self._recent = time, recent
        arrived = self._present if self._present is not None and self._present[0].time < time else None
        if arrived is not None:
            self._present = None
        self._settle(arrived)

    def put(self, prompted: bool, value: Tensor) -> None:
        """Keep a value of the present frame, in place of an earlier one of it."""
        self._keep_beside(value)
        self._present = _Kept(self._time, prompted), value

    def forget_recent(self, since: int, recent: Mapping[int, int]) -> None:
        """Drop the unprompted frames kept from `since` on, the present one excepted."""
        self._recent = recent
        self._drop([slot for slot, kept in enumerate(self._kept) if not kept.prompted and kept.time >= since])
        self._settle()

    def unpin(self, times: Collection[int]) -> None:
        """Let frames of these times count as unprompted ones."""
        self._kept = [k._replace(prompted=k.prompted and k.time not in times) for k in self._kept]
        if self._present is not None and self._present[0].time in times:
            self._present = self._present[0]._replace(prompted=False), self._present[1]
        self._settle()

    def attended(self) -> tuple[Tensor, list[Attended]]:
        """What the present frame attends to: a view [kept, ...] and, in the same order, what each of them is."""
        return self._array[: len(self._kept)], self._attended

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

    def _settle(self, arrived: tuple[_Kept, Tensor] | None = None) -> None:
        """Drop what does not count, put a frame that has arrived in its place, and note what is attended.

        The latest prompted frames count, up to the cap; an older one counts as recent or leaves (sb 565).
        """
        kept = self._kept if arrived is None else [*self._kept, arrived[0]]
        pinned = set(sorted(k.time for k in kept if k.prompted)[-self._prompted :])
        counting = pinned | self._recent.keys()
        leaving = [slot for slot, k in enumerate(self._kept) if k.time not in counting]
        if arrived is not None and arrived[0].time in counting:
            slot = leaving.pop() if leaving else len(self._kept)
            self._kept[slot : slot + 1] = [arrived[0]]
            self._array[slot] = arrived[1]
        self._drop(leaving)
        self._attended = [Attended(k.time, None if k.time in pinned else self._recent[k.time]) for k in self._kept]

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
    places: FrameSlots | None
    pointers: FrameSlots
    recent: RecentFrames

    def begin(self, time: int) -> None:
        """Go to a frame."""
        for slots in self.memories:
            slots.begin(time, self.recent.memories(time))
        self.pointers.begin(time, self.recent.pointers(time))

    @property
    def memories(self) -> list[FrameSlots]:
        """The slots of spatial memories, which are kept together."""
        return [slots for slots in (self.spatial, self.places) if slots is not None]


class MemoryBank:
    """The memories of every object of one stream. What is read or kept is that of the frame of the last `begin`.

    tokens: of each spatial memory, for models whose memories are sets of tokens.
    Raises PromptError for ids that it does not know.
    """

    def __init__(self, model: ModelSpec, tokens: int | None = None) -> None:
        if model.memory is None:
            raise PromptError(
                f"{model.family}/{model.variant} has no memory: it segments images, not videos; use `masklet segment`"
            )
        self._policy: MemoryPolicy = model.memory
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
        self._time = time
        for of in self._objects.values():
            of.begin(time)

    def keep(
        self,
        object_id: int,
        prompted: bool,
        memory: Tensor,
        pointer: Tensor,
        effective_iou: float = 1.0,
        place: Tensor | None = None,
    ) -> None:
        """Keep the present frame of an object, which joins by its first one.

        memory: [tokens, channels]; pointer: [channels]; effective_iou: MemoryPolicy; place: [tokens] int64, of models
        whose memories are sets of tokens.
        """
        if object_id not in self._objects:
            self._admit(object_id)
            self._objects[object_id].begin(self._time)
        of = self._objects[object_id]
        of.spatial.put(prompted, memory)
        if of.places is not None and place is not None:
            of.places.put(prompted, place)
        of.pointers.put(prompted, pointer)
        of.recent.note(self._time, prompted, effective_iou)

    def forget(self, object_id: int) -> None:
        """Let go of everything about an object."""
        if object_id not in self._objects:
            raise PromptError(f"no object {object_id} is tracked; there are {self.object_ids or 'none'}")
        del self._objects[object_id]

    def forget_recent(self, object_id: int) -> None:
        """Drop an object's unprompted frames near the present one, where it was prompted (vp 956-975)."""
        since = self._time - self._policy.recent_frames - 1
        of = self._objects[object_id]
        of.recent.forget(since)
        for slots in of.memories:
            slots.forget_recent(since, of.recent.memories(self._time))
        of.pointers.forget_recent(since, of.recent.pointers(self._time))

    def unpin(self, object_id: int, times: Collection[int]) -> None:
        """Let an object's frames of these times count as unprompted ones."""
        of = self._objects[object_id]
        for slots in (*of.memories, of.pointers):
            slots.unpin(times)

    def batches(self, object_ids: Iterable[int], largest: int) -> list[list[int]]:
        """Objects that can attend in one call, because they keep equally many frames; at most `largest` a batch."""
        groups: dict[tuple[int, int], list[int]] = {}
        for object_id in object_ids:
            of = self._objects[object_id]
            key = len(of.spatial.attended()[1]), len(of.pointers.attended()[1])
            groups.setdefault(key, []).append(object_id)
        return [ids[i : i + largest] for ids in groups.values() for i in range(0, len(ids), largest)]

    def feeds(self, object_ids: Sequence[int]) -> dict[str, Tensor]:
        """The memory side of the memory attention's inputs for a batch of objects.

        memory [objects, memories, tokens, channels] and pointers [objects, pointers, channels] as they are kept, for
        models whose memories are sets of tokens also memory_place [objects, memories, tokens] int64;
        memory_time [objects, memories] int64: the frame's row in the model's temporal table, the last row for
        prompted frames and rank - 1 for others (sb 582); pointer_time [objects, pointers] float32: distance in frames,
        of unprompted ones their rank, over the farthest one that counts (sb 623, with the limit of an endless stream).
        """
        several = [self._objects[object_id] for object_id in object_ids]
        memory, memory_kept = _gathered([of.spatial.attended() for of in several])
        pointers, pointers_kept = _gathered([of.pointers.attended() for of in several])
        places = [of.places.attended() for of in several if of.places is not None]
        prompted_row = self._policy.recent_frames
        rows = [[prompted_row if k.rank is None else k.rank - 1 for k in kept] for kept in memory_kept]
        distances = [[self._time - k.time if k.rank is None else k.rank for k in kept] for kept in pointers_kept]
        farthest = np.float32(self._policy.pointers - 1)
        return {
            "memory": memory,
            "memory_time": np.array(rows, np.int64),
            "pointers": pointers,
            "pointer_time": np.array(distances, np.float32) / farthest,
            **({"memory_place": _gathered(places)[0]} if places else {}),
        }

    def snapshot(self) -> list[ObjectSnapshot]:
        """A copy of every object's memories."""
        return [
            ObjectSnapshot(
                i,
                of.spatial.snapshot(),
                of.pointers.snapshot(),
                list(of.recent.selected),
                None if of.places is None else of.places.snapshot(),
            )
            for i, of in self._objects.items()
        ]

    def restore(self, objects: Iterable[ObjectSnapshot]) -> None:
        """Take up objects from a snapshot. Raises StateError where it is of another model."""
        for one in objects:
            self._admit(one.object_id, one.selected)
            of = self._objects[one.object_id]
            of.spatial.restore(one.spatial)
            of.pointers.restore(one.pointers)
            if (of.places is None) != (one.places is None):
                raise StateError("a state holds memories of another kind: another variant's of the model")
            if of.places is not None and one.places is not None:
                of.places.restore(one.places)

    def _admit(self, object_id: int, selected: Sequence[int] = ()) -> None:
        self._objects[object_id] = _Memories(
            self._slots("memory", self._policy.recent_frames),
            self._slots("memory_place", self._policy.recent_frames) if "memory_place" in self._inputs else None,
            self._slots("pointers", self._policy.pointers - 1),
            RecentFrames(self._policy, selected),
        )

    def _slots(self, name: str, window: int) -> FrameSlots:
        tensor = self._inputs[name]
        shape = tensor.sized({s: self._tokens or 1 for s in tensor.shape if isinstance(s, str)})[2:]
        return FrameSlots(window, self._policy.prompted_frames, shape, tensor.dtype)


def _gathered(attended: Sequence[tuple[Tensor, list[Attended]]]) -> tuple[Tensor, list[list[Attended]]]:
    """Several objects' values as [objects, kept, ...], those of one without a copy; and what is kept of each."""
    kept = [frames for _, frames in attended]
    if len(attended) == 1:
        return attended[0][0][None], kept
    return np.stack([values for values, _ in attended]), kept
