"""When a stream takes its next frame: at once, at the source's own rate, or frame by frame."""

import threading
import time
from collections.abc import Callable

from masklet.runtime.streams.wake_up import WakeUp


class Pace:
    """Lets a stream's frames pass; any thread may pause and step it.

    fps:    the source's own rate.
    paused: no frame passes unless one is asked for. A stream that begins paused lets its first one pass, to be seen.
    """

    def __init__(
        self, wake_up: WakeUp, fps: float, *, paused: bool = False, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._wake_up, self._clock, self._interval_s = wake_up, clock, 1.0 / fps
        self._lock = threading.Lock()
        self._paused, self._steps = paused, int(paused)
        self._real_time = False
        self._next_s = 0.0
        self._timer: threading.Timer | None = None

    @property
    def paused(self) -> bool:
        return self._paused

    @property
    def real_time(self) -> bool:
        """Whether frames pass at the source's own rate at most, rather than as fast as they are tracked."""
        return self._real_time

    @property
    def due(self) -> bool:
        """Whether a frame may pass now. Where time alone is in its way, a timer wakes the runner."""
        with self._lock:
            if self._paused:
                return self._steps > 0
            wait_s = self._next_s - self._clock() if self._real_time else 0.0
            if wait_s > 0 and self._timer is None:
                self._timer = threading.Timer(wait_s, self._wake)
                self._timer.daemon = True
                self._timer.start()
            return wait_s <= 0

    def took(self) -> None:
        """Count a frame that passed."""
        with self._lock:
            self._steps = max(0, self._steps - 1)
            now_s, following_s = self._clock(), self._next_s + self._interval_s
            self._next_s = following_s if following_s > now_s else now_s + self._interval_s

    def pause(self, paused: bool) -> None:
        """Pause, or go on."""
        with self._lock:
            self._paused, self._steps = paused, 0
        self._wake_up.set()

    def step(self, frames: int = 1) -> None:
        """Let so many frames pass while paused; those asked for before are not added."""
        with self._lock:
            self._steps = max(self._steps, frames)
        self._wake_up.set()

    def run_in_real_time(self, real_time: bool) -> None:
        """Keep to the source's rate, or run as fast as frames are tracked."""
        with self._lock:
            self._real_time = real_time
        self._wake_up.set()

    def _wake(self) -> None:
        with self._lock:
            self._timer = None
        self._wake_up.set()
