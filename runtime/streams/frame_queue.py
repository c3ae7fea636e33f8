"""The queue of frames between the capture thread and the tracker, with one of two policies."""

import threading
from collections import deque
from dataclasses import dataclass
from enum import Enum

from masklet.runtime.results import Frame
from masklet.runtime.streams.wake_up import WakeUp

AHEAD = 4  # frames decoded ahead with EVERY


class Policy(Enum):
    """What happens if frames come faster than they are processed.

    EVERY:  the source waits, and every frame is processed: for files.
    NEWEST: a frame that is still waiting when the next one comes is dropped: for cameras.
    """

    EVERY = "every-frame"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True, eq=False)
class Captured:
    """A frame and its time of arrival, in seconds of the clock."""

    frame: Frame
    at_s: float


class FrameQueue:
    """A bounded queue; one thread puts, another takes. Counts frames that came and frames that were dropped.

    wake_up: set when a frame comes.
    """

    def __init__(self, policy: Policy, wake_up: WakeUp) -> None:
        self._policy, self._wake_up = policy, wake_up
        self._limit = AHEAD if policy is Policy.EVERY else 1
        self._frames: deque[Captured] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self.came = self.dropped = 0

    def put(self, captured: Captured) -> bool:
        """Add a frame; with EVERY, wait for room. False if the queue is closed."""
        with self._changed:
            self.came += 1
            while self._policy is Policy.EVERY and len(self._frames) >= self._limit and not self._closed:
                self._changed.wait()
            if self._closed:
                self.dropped += 1
                return False
            if len(self._frames) >= self._limit:
                self._frames.popleft()
                self.dropped += 1
            self._frames.append(captured)
        self._wake_up.set()
        return True

    def take(self) -> Captured | None:
        """The oldest frame; None if there is none now."""
        with self._changed:
            captured = self._frames.popleft() if self._frames else None
            self._changed.notify()
            return captured

    def __len__(self) -> int:
        return len(self._frames)

    def close(self) -> None:
        """Accept no more frames, and drop the waiting ones."""
        with self._changed:
            self._closed = True
            self.dropped += len(self._frames)
            self._frames.clear()
            self._changed.notify()
