"""Objects tracked through a clip in one direction, as far as they were, and on from there."""

from collections.abc import Callable, Sequence

from masklet.runtime.annotation.checkpoints import Checkpoints
from masklet.runtime.errors import SourceError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.video_tracker import VideoTracker


class TrackingPass:
    """Tracks some objects from their first prompt on, a frame at a time, exactly as `masklet run --prompts` would.

    Where prompts change, what came before them stays: the tracker goes on from the last checkpoint, and repeats the
    frames between.

    objects: ids of those that are tracked. order: frame indices, as they are gone through.
    """

    def __init__(
        self,
        objects: frozenset[int],
        order: Sequence[int],
        frame: Callable[[int], Frame],
        fresh: Callable[[], VideoTracker],
    ) -> None:
        self.objects, self.order = objects, order
        self._frame, self._fresh = frame, fresh
        self._checkpoints = Checkpoints()
        self._begin: int | None = None
        self._tracker: VideoTracker | None = None
        self._at = self._reach = -1  # positions of the tracker's last frame, and of the last one whose result is known

    def reaches(self, frame: int) -> bool:
        """Whether the result of a frame is known, and holds under the present prompts."""
        return self._begin is not None and self._begin <= self.order.index(frame) <= self._reach

    @property
    def frame(self) -> int:
        """The index of the frame that the tracker was given last."""
        return self.order[self._at]

    @property
    def done(self) -> bool:
        """Whether the clip's end was reached."""
        return self._reach == len(self.order) - 1

    def invalidate(self, frame: int) -> None:
        """Prompts of a frame have changed: its result, and those after it, hold no more."""
        position = self.order.index(frame)
        self._reach = min(self._reach, position - 1)
        self._checkpoints.drop_from(position)
        if self._at > self._reach:
            self._tracker = None

    def step(self, schedule: Schedule) -> FrameResult | None:
        """Track onto a further frame. schedule: prompts of these objects.

        Returns its result; None where a frame was repeated, or cannot be decoded. Raises ValueError without a prompt.
        """
        begin = min(map(self.order.index, schedule))
        if begin != self._begin:
            self._begin, self._tracker, self._reach = begin, None, begin - 1
            self._checkpoints = Checkpoints()
        tracker = self._tracker or self._resume(begin)
        self._tracker, self._at = tracker, self._at + 1
        index = self.order[self._at]
        repeated = self._at <= self._reach
        self._reach = max(self._reach, self._at)
        try:
            result = tracker.step(self._frame(index), schedule.get(index))
        except SourceError:
            return None
        if not repeated and self._checkpoints.due(self._at):
            self._checkpoints.put(self._at, tracker.snapshot())
        return None if repeated else result

    def _resume(self, begin: int) -> VideoTracker:
        """A tracker that stands at the last checkpoint, or before the first prompt."""
        tracker, self._at = self._fresh(), begin - 1
        found = self._checkpoints.before(self._reach)
        if found is not None:
            self._at = found[0]
            tracker.restore(found[1])
        return tracker
