"""Values of one object's frames in a fixed array: its spatial memories, or its pointers."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import StateError
from masklet.runtime.tracking.snapshot import SlotsSnapshot


class FrameSlots:
    """A bounded number of frames, a row each, in an array whose filled rows are always its first ones.

    Attention does not depend on the order of memories, only on their time; so a new frame takes the slot of one that
    left. What is attended is a view of the array where its rows are the first ones: always if all that is kept is
    attended, and after `bring_forward`. `begin` goes to a frame; the frame's own value waits outside of the array until
    the next `begin`, for it may still be corrected, and a correction attends to what the frame itself attended to.
    """

    def __init__(self, count: int, shape: Sequence[int], dtype: str) -> None:
        self._array: Tensor = np.empty((count, *shape), dtype)
        self._times: list[int] = []
        self._present: tuple[int, Tensor] | None = None

    def begin(self, time: int, kept: Collection[int]) -> None:
        """Go to a frame: store the previous one if it is kept, and drop all frames that are not."""
        arrived = self._present if self._present is not None and self._present[0] < time else None
        leaving = self._where_not(kept)
        if arrived is not None:
            self._present = None
        if arrived is not None and arrived[0] in kept:
            slot = leaving.pop() if leaving else len(self._times)
            self._times[slot : slot + 1] = [arrived[0]]
            self._array[slot] = arrived[1]
        self._drop(leaving)

    def bring_forward(self, times: Collection[int]) -> None:
        """Move the stored frames of these times to the first rows, so that they are attended to without a copy of all.

        Needs a free row to exchange two; without one nothing is moved.
        """
        wanted = [slot for slot, t in enumerate(self._times) if t in times]
        behind = [slot for slot in wanted if slot >= len(wanted)]
        free = len(self._times)
        if not behind or free == len(self._array):
            return
        before = [slot for slot in range(len(wanted)) if self._times[slot] not in times]
        for front, back in zip(before, behind, strict=True):
            for to, of in ((free, front), (front, back), (back, free)):
                self._array[to] = self._array[of]
            self._times[front], self._times[back] = self._times[back], self._times[front]

    def put(self, time: int, value: Tensor | None) -> None:
        """Set the value of the current frame; None removes it."""
        if value is not None:
            self._keep_beside(value)
        self._present = None if value is None else (time, value)

    def drop_since(self, since: int, pinned: Collection[int]) -> None:
        """Drop the stored frames from `since` on that are not pinned, except the current one."""
        self._drop([slot for slot, t in enumerate(self._times) if t >= since and t not in pinned])

    def among(self, times: Mapping[int, int]) -> dict[int, int]:
        """The entries of `times` whose frames are stored."""
        return {t: times[t] for t in self._times if t in times}

    def attended(self, times: Mapping[int, int]) -> tuple[Tensor, list[int]]:
        """The stored values of these times, [frames, ...], and in the same order the values of the mapping."""
        slots = [slot for slot, t in enumerate(self._times) if t in times]
        places = [times[self._times[slot]] for slot in slots]
        if slots == [*range(len(slots))]:
            return self._array[: len(slots)], places
        return np.stack([self._array[slot] for slot in slots]), places

    def snapshot(self) -> SlotsSnapshot:
        """A copy of the stored values, in slot order, with the current frame last."""
        rows, times = self._array[: len(self._times)], self._times
        if self._present is not None:
            rows, times = np.concatenate([rows, self._present[1][None]]), [*times, self._present[0]]
        return SlotsSnapshot(list(times), np.array(rows), self._present is not None)

    def restore(self, snapshot: SlotsSnapshot) -> None:
        """Restore a snapshot, slot by slot. Raises StateError if it is of another model."""
        times, values = snapshot.times, snapshot.values
        settled = len(times) - snapshot.last_is_present
        fits = values.shape == (len(times), *self._array.shape[1:]) and 0 <= settled <= len(self._array)
        if not fits or values.dtype != self._array.dtype:
            raise StateError(
                f"a state holds {values.dtype}{list(values.shape)} of {len(times)} frames: another model's"
            )
        self._array[:settled] = values[:settled]
        self._times = times[:settled]
        self._present = (times[-1], values[-1].copy()) if snapshot.last_is_present else None

    def _keep_beside(self, value: Tensor) -> None:
        """Store memories on the device of their values: a backend may leave them on a GPU (`DeviceArray`)."""
        if type(value) is not type(self._array):
            kept = self._array[: len(self._times)]
            self._array = np.empty_like(value, shape=self._array.shape)
            self._array[: len(kept)] = kept

    def _where_not(self, times: Collection[int]) -> list[int]:
        return [slot for slot, t in enumerate(self._times) if t not in times]

    def _drop(self, slots: list[int]) -> None:
        """Free slots, and move the last ones into the gaps."""
        for slot in reversed(slots):
            last = len(self._times) - 1
            if slot != last:
                self._array[slot] = self._array[last]
                self._times[slot] = self._times[last]
            self._times.pop()
