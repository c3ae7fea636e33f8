"""The thread that enlarges masks to the frame's size and writes results while the sessions run."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from masklet.runtime.errors import MaskletError
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.streams.frame_queue import Captured
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.tracking.tracker import Pending

BEHIND = 4  # maximum number of results waiting for the writer


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A processed frame and its result."""

    captured: Captured
    pending: Pending


After = Callable[[], None]  # called once everything before it was written
OnWritten = Callable[[Captured, float], None]  # called with a frame and the time of writing, in seconds of the clock


class Writer:
    """Writes results in the order in which they are added.

    processed: number of frames that were written.
    dropped:   number of frames that were not written because of an earlier error.
    error:     that error, if any.
    """

    def __init__(
        self, sinks: Sinks, wake_up: WakeUp, on_written: OnWritten, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._sinks, self._wake_up, self._on_written, self._clock = sinks, wake_up, on_written, clock
        self._items: queue.Queue[Done | After | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self.error: Exception | None = None
        self.processed = self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether fewer than the maximum number of results are waiting. `put` accepts more in any case."""
        return self._items.qsize() < BEHIND

    def put(self, item: Done | After) -> None:
        """Add a result, or a function to call once everything before it was written."""
        self._items.put(item)

    def close(self) -> None:
        """Write all added results, then close the sinks. An error is stored in `error`."""
        if self._thread.ident is not None:
            self._items.put(None)
            self._thread.join()
        try:
            self._sinks.close()
        except MaskletError as error:
            self.error = self.error or error

    def _write_all(self) -> None:
        while (item := self._items.get()) is not None:
            try:
                self._write(item)
            except Exception as error:
                self.error = self.error or error
                self.dropped += isinstance(item, Done)
            self._wake_up.set()

    def _write(self, item: Done | After) -> None:
        if not isinstance(item, Done):
            if self.error is None:
                item()
        elif self.error is not None:
            self.dropped += 1
        else:
            self._sinks.write(item.captured.frame, item.pending.result())
            self.processed += 1
            self._on_written(item.captured, self._clock())
