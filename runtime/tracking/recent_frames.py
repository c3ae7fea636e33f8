"""Which of an object's unprompted frames are attended, and how far back they count."""

from collections.abc import Sequence

from masklet.runtime.bundle.spec import MemoryPolicy


class RecentFrames:
    """The recent frames of one object, by their rank: the frame before the present one has rank 1.

    Without a selection every frame counts, and its rank is its distance. With one (`min_effective_iou`), the frame
    before counts in any case, then those that were worth it, however long ago; so an object that comes back is
    recognised by what it looked like before it was hidden (sam3_tracker_base.py 517 and 609-725).

    selected: times of the frames that were worth it, the newest last; bounded.
    """

    def __init__(self, policy: MemoryPolicy, selected: Sequence[int] = ()) -> None:
        self.selected = list(selected)
        self._policy = policy

    def note(self, time: int, prompted: bool, effective_iou: float) -> None:
        """Take note of a frame, in place of what was noted of the same time."""
        least = self._policy.min_effective_iou
        if self.selected[-1:] == [time]:
            self.selected.pop()
        if least is not None and not prompted and effective_iou > least:
            self.selected.append(time)
        del self.selected[: -self._policy.pointers]  # as many as count, and the present one

    def forget(self, since: int) -> None:
        """Let go of the frames from `since` on."""
        self.selected = [time for time in self.selected if time < since]

    def memories(self, now: int) -> dict[int, int]:
        """Time and rank of the frames whose memories a frame at `now` attends to."""
        window = self._policy.recent_frames
        return _ranked(self._counting(now, window)[:window])

    def pointers(self, now: int) -> dict[int, int]:
        """Time and rank of the frames whose pointers a frame at `now` attends to.

        Of selected frames all but the oldest, for Meta's loop ends one short of it (717).
        """
        times = self._counting(now, self._policy.pointers - 1)
        return _ranked(times if self._policy.min_effective_iou is None else times[:-1])

    def _counting(self, now: int, window: int) -> list[int]:
        """The frames that count, the newest first. window: how far back, where all of them do."""
        if self._policy.min_effective_iou is None:
            return list(range(now - 1, now - 1 - window, -1))
        earlier = [time for time in reversed(self.selected) if time < now][: self._policy.pointers - 1]
        return earlier if earlier[:1] == [now - 1] else [now - 1, *earlier]


def _ranked(times: Sequence[int]) -> dict[int, int]:
    return {time: rank for rank, time in enumerate(times, start=1)}
