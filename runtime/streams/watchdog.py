"""Says when a stream is silent, without saying it all the time."""


class Watchdog:
    """Speaks up after `limit_s` seconds without a frame, again whenever that has doubled, and when frames are back."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = self._next_s = limit_s
        self._worst_s = 0.0

    def look(self, silent_s: float) -> tuple[str, str] | None:
        """silent_s: seconds since the latest frame. Returns what there is to say, a word and all of it, if anything."""
        if silent_s >= self._next_s:
            self._worst_s = silent_s
            while self._next_s <= silent_s:
                self._next_s *= 2
            return "silent", f"no frame has come for {silent_s:.0f} s"
        if self._worst_s and silent_s < self._limit_s:
            self._next_s, self._worst_s = self._limit_s, 0.0
            return "back", "frames come again"
        return None
