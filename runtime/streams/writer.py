"""The thread that brings masks to the frame's size and writes them, beside the sessions."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from masklet.runtime.errors import MaskletError
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.streams.frame_queue import Captured
from masklet.runtime.streams.wake_up import Bell
from masklet.runtime.tracking.tracker import Pending

BEHIND = 4  # results that wait for the writer at most


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """A frame that was run, and its result."""

    captured: Captured
    pending: Pending


After = Callable[[], None]  # done once everything before it was written
OnWritten = Callable[[Captured, float], None]  # is told of a frame and when it was written, in seconds of the clock


class Writer:
    """Writes results in the order in which they are handed over.

    processed, dropped: frames that were written, and that were not since an error came before them.
    error:              that error.
    """

    def __init__(
        self, sinks: Sinks, bell: Bell, on_written: OnWritten, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._sinks, self._bell, self._on_written, self._clock = sinks, bell, on_written, clock
        self._items: queue.Queue[Done | After | None] = queue.Queue()
        self._thread = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self.error: Exception | None = None
        self.processed = self.dropped = 0

    def start(self) -> None:
        self._thread.start()

    @property
    def has_room(self) -> bool:
        """Whether it is not too far behind. What is put in all the same is kept."""
        return self._items.qsize() < BEHIND

    def put(self, item: Done | After) -> None:
        """Hand over a result, or what is to be done after everything before it was written."""
        self._items.put(item)

    def close(self) -> None:
        """Write what was handed over, then close the sinks. Errors stand in `error`."""
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
            self._bell.ring()

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
