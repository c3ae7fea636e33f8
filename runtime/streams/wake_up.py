"""Wakes a thread that waits for work of others."""

import threading


class WakeUp:
    """Set whenever there may be work. One set between two calls of `wait` is not lost: the next returns at once."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self, timeout_s: float) -> None:
        """Return when it was set since the last return, or after `timeout_s` seconds."""
        self._event.wait(timeout_s)
        self._event.clear()
