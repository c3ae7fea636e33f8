"""A bell that a thread waits for and others ring."""

import threading


class Bell:
    """Rung whenever there may be something to do. Who waits for it looks first, and then waits since that look."""

    def __init__(self) -> None:
        self._rung = threading.Event()

    def ring(self) -> None:
        self._rung.set()

    def wait(self, timeout_s: float) -> None:
        """Return once it was rung since the last return, or after the time-out in seconds."""
        self._rung.wait(timeout_s)
        self._rung.clear()
