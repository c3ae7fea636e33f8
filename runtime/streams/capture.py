"""The thread that reads and decodes a source while the sessions run."""

import threading
import time
from collections.abc import Callable

from masklet.runtime.sources.source import Source
from masklet.runtime.streams.frame_queue import Captured, FrameQueue, Policy
from masklet.runtime.streams.wake_up import WakeUp

STOP_S = 6.0  # how long to wait for a read that hangs in a driver; a little more than the time-out of a device


class Capture:
    """Reads a source to its end in a thread of its own.

    error:  the error that ended it early, if any; valid once `ended` is true.
    last_s: time of the latest frame by the clock; before the first frame, the time of the start.
    """

    def __init__(
        self, source: Source, policy: Policy, wake_up: WakeUp, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._source, self._wake_up, self._clock = source, wake_up, clock
        self._queue = FrameQueue(policy, wake_up)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, name=f"capture {source.name}", daemon=True)
        self.error: Exception | None = None
        self.last_s = clock()

    def start(self) -> None:
        self.last_s = self._clock()
        self._thread.start()

    @property
    def came(self) -> int:
        """Number of frames that the source delivered."""
        return self._queue.came

    @property
    def dropped(self) -> int:
        return self._queue.dropped

    @property
    def waiting(self) -> int:
        """Number of frames that can be taken now."""
        return len(self._queue)

    @property
    def ended(self) -> bool:
        """Whether no frame is waiting and none will come."""
        return self._over.is_set() and not len(self._queue)

    def take(self) -> Captured | None:
        """The next frame; None if there is none now."""
        return self._queue.take()

    def stop(self) -> None:
        """Ask the thread to end; waiting frames are dropped."""
        self._source.stop()
        self._queue.close()

    def join(self) -> None:
        """Wait for the thread. If it hangs in a driver, it is abandoned: it keeps its device until the process ends."""
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _read(self) -> None:
        frames = iter(self._source)
        try:
            for frame in frames:
                self.last_s = self._clock()
                if not self._queue.put(Captured(frame, self.last_s)):
                    break
        except Exception as error:
            self.error = error
        finally:
            _close(frames)
            self._over.set()
            self._wake_up.set()


def _close(frames: object) -> None:
    """Close a generator now, so that the thread that reads the device also releases it."""
    close = getattr(frames, "close", None)
    if close is not None:
        close()
