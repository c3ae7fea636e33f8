"""Runs several streams through one set of sessions, in turn."""

import threading
from collections.abc import Sequence

from masklet.runtime.streams.stream import Stream
from masklet.runtime.streams.wake_up import WakeUp

LOOK_S = 0.25  # without a wake_up, the streams are checked after this time


class Runner:
    """A thread that advances streams round-robin.

    No stream gets a second frame before every other stream with a waiting frame got one. A stream that fails ends; the
    others continue. It is not the main thread, so that Ctrl-C, which reaches the main thread, never interrupts a frame.
    """

    def __init__(self, streams: Sequence[Stream], wake_up: WakeUp) -> None:
        self._streams, self._wake_up = streams, wake_up
        self._stopped, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)

    def start(self) -> None:
        for stream in self._streams:
            stream.start()
        self._thread.start()

    @property
    def running(self) -> bool:
        return not self._over.is_set()

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait for the end, at most `timeout_s` seconds.

        Not by join alone: after a join interrupted by Ctrl-C, Python considers the thread ended (bpo-45274).
        """
        if self._over.wait(timeout_s):
            self._thread.join()

    def stop(self) -> None:
        """End all streams after the current frame; finished results are written."""
        self._stopped.set()
        self._wake_up.set()

    def _run(self) -> None:
        try:
            self._take_turns()
        finally:
            self._over.set()

    def _take_turns(self) -> None:
        alive = list(self._streams)
        while alive and not self._stopped.is_set():
            worked = False
            for stream in tuple(alive):
                if self._stopped.is_set():
                    break
                if stream.ready and not stream.over:
                    stream.advance()
                    worked = True
                if stream.over:
                    alive.remove(stream)
                    stream.finish(stopped=False)
            if alive and not worked:
                self._wake_up.wait(LOOK_S)
        for stream in alive:
            stream.source.stop()
        for stream in alive:
            stream.finish(stopped=True)
