"""A bell: one thread waits for it, others ring it."""

import threading


class Bell:
    """Rung whenever there may be work. A ring between two calls of `wait` is not lost: the next returns at once."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, timeout_s: float) -> None:
        """Return when it was rung since the last return, or after `timeout_s` seconds."""
        self._rung.wait(timeout_s)
        self._rung.clear()
