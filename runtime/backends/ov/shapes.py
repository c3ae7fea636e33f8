"""Which shapes of a stage are worth a compiled model of their own: those that come again and again."""

from collections import Counter, deque

Shape = tuple[int, ...]  # the size of each symbol

KEPT = 4
SEEN_BEFORE = 2
WINDOW = 64


class RecentShapes:
    """Counts the shapes of a stage's last calls and says for which a compiled model is to be kept.

    While memories fill up each shape comes once and is gone; two objects that joined at different times take turns. So
    a shape has to have been seen before, and takes the place of another only where that came half as often.

    kept:   models at most. seen_before: calls of a shape before it gets one. window: calls that are looked back on.
    """

    def __init__(self, kept: int = KEPT, seen_before: int = SEEN_BEFORE, window: int = WINDOW) -> None:
        self._kept, self._seen_before = kept, seen_before
        self._recent: deque[Shape] = deque(maxlen=window)
        self._compiled: set[Shape] = set()

    def is_worth(self, shape: Shape) -> bool:
        """Note a call. Whether its shape is to run on a model of its own, which it may have already."""
        first = not self._recent
        count = self._recent.count(shape)
        self._recent.append(shape)
        if shape in self._compiled or first:
            return True
        if count < self._seen_before:
            return False
        return len(self._compiled) < self._kept or count >= 2 * self._rarest()[1]

    def keep(self, shape: Shape) -> Shape | None:
        """Keep a shape's model; returns the shape whose model leaves for it, None where there is room."""
        if shape in self._compiled:
            return None
        leaves = self._rarest()[0] if len(self._compiled) == self._kept else None
        self._compiled = {*self._compiled, shape} - {leaves}
        return leaves

    def _rarest(self) -> tuple[Shape, int]:
        counts = Counter(self._recent)
        rarest = min(self._compiled, key=lambda shape: counts[shape])
        return rarest, counts[rarest]
