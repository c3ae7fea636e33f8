"""A tracker around a tracker that keeps a latency budget: it steps along the settings that `masklet tune` has found."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from masklet.runtime.bundle.tuning import Attending, Step
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot
from masklet.runtime.tracking.tracker import CorrectableTracker, Pending

WINDOW = 24  # frames over which time is averaged: a multiple of the usual update intervals
ROOM = 0.9  # share of the budget that a slower step may be expected to take before it is taken

Stepped = Callable[[int, str], None]  # is told the step that is taken, from 0, the most accurate, and why


class AttendingTracker(CorrectableTracker, Protocol):
    """A tracker whose settings may change between two frames."""

    def attend(self, attending: Attending) -> None:
        """Take other settings from the next frame on."""
        ...


class BudgetedTracker:
    """Passes frames on, and changes how much is attended and how often objects are segmented.

    Where frames take longer than the budget on average, as when objects join, it goes to the next faster step; where
    the step before is expected to fit again, back to that.

    steps:     from the most accurate to the fastest. first: with which it begins.
    target_ms: the budget of a frame.
    stepped:   called with every step.
    """

    def __init__(
        self,
        tracker: AttendingTracker,
        steps: Sequence[Step],
        first: int,
        target_ms: float,
        stepped: Stepped = lambda step, why: None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._tracker, self._steps, self._target_ms = tracker, steps, target_ms
        self._stepped, self._clock = stepped, clock
        self._taken: deque[float] = deque(maxlen=WINDOW)
        self._at = first
        tracker.attend(steps[first].attending)

    @property
    def object_ids(self) -> list[int]:
        return self._tracker.object_ids

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> Sequence[Pending]:
        begun = self._clock()
        found = self._tracker.advance(frame, prompts)
        self._taken.append(1e3 * (self._clock() - begun))
        if len(self._taken) == WINDOW:
            self._keep_budget()
        return found

    def late(self) -> Sequence[Pending]:
        return self._tracker.late()

    def current(self) -> Pending:
        return self._tracker.current()

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        return self._tracker.refine(object_id, prompt)

    def remove(self, object_id: int) -> None:
        self._tracker.remove(object_id)

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        return self._tracker.object_snapshot(object_id)

    def put_back(self, snapshot: ObjectSnapshot) -> None:
        self._tracker.put_back(snapshot)

    def snapshot(self) -> TrackerSnapshot:
        return self._tracker.snapshot()

    def _keep_budget(self) -> None:
        """Take another step where the last frames say so."""
        taken = sum(self._taken) / len(self._taken)
        if taken > self._target_ms and self._at + 1 < len(self._steps):
            self._step(self._at + 1, taken)
        elif self._at > 0:
            slower = taken * self._steps[self._at - 1].ms / max(self._steps[self._at].ms, 1e-6)
            if slower <= ROOM * self._target_ms:
                self._step(self._at - 1, taken)

    def _step(self, at: int, taken: float) -> None:
        self._at = at
        self._taken.clear()
        self._tracker.attend(self._steps[at].attending)
        self._stepped(at, f"frames took {taken:.1f} ms of {self._target_ms:.1f}: {in_words(self._steps[at])}")


def in_words(step: Step) -> str:
    """What a step changes."""
    attending = step.attending
    words = [
        f"{attending.memory_frames} recent frames" if attending.memory_frames else "all recent frames",
        f"{attending.pointers} pointers" if attending.pointers else "",
        f"objects are segmented every {attending.update_interval} frames" if attending.update_interval > 1 else "",
        f"phrases are searched for every {attending.detection_interval} frames"
        if attending.detection_interval > 1
        else "",
    ]
    return ", ".join(filter(None, words))
