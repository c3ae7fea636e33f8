"""Warns when a stream is silent, at growing intervals."""


class Watchdog:
    """Warns after `limit_s` seconds without a frame, again at each doubling, and reports when frames are back."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = self._next_s = limit_s
        self._worst_s = 0.0

    def look(self, silent_s: float) -> tuple[str, str] | None:
        """The event to log and its message, or None. silent_s: seconds since the latest frame."""
        if silent_s >= self._next_s:
            self._worst_s = silent_s
            while self._next_s <= silent_s:
                self._next_s *= 2
            return "silent", f"no frame has come for {silent_s:.0f} s"
        if self._worst_s and silent_s < self._limit_s:
            self._next_s, self._worst_s = self._limit_s, 0.0
            return "back", "frames are back"
        return None
