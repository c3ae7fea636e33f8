"""Times each stage, frame by frame, while a model runs."""

import time
from collections import deque
from collections.abc import Callable

from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.spec import Tensor

FIRST = "image_encoder"  # the stage with which a frame begins
KEPT = 256  # frames


class StageTimes:
    """Milliseconds of each stage in the last frames, summed over the calls of a frame.

    A frame begins with a call of the image encoder, of any stream. On a GPU, where a call only queues the stage, this
    is the time of queueing, not of computing; `masklet profile` waits for each stage.
    """

    def __init__(self, clock_ns: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock_ns = clock_ns
        self._frames: deque[tuple[int, dict[str, float]]] = deque(maxlen=KEPT)
        self._present: dict[str, float] | None = None
        self._count = 0

    def wrap(self, session: Session) -> Session:
        """Wrap a session to time its calls."""
        return _TimedSession(session, self)

    def since(self, number: int) -> list[tuple[int, dict[str, float]]]:
        """The complete frames after the one with this number, as far as they are kept: number from 1, ms by stage."""
        return [frame for frame in tuple(self._frames) if frame[0] > number]

    def note(self, stage: str, began_ns: int) -> None:
        """Record a call that ends now."""
        ms = (self._clock_ns() - began_ns) / 1e6
        if stage == FIRST:
            if self._present is not None:
                self._count += 1
                self._frames.append((self._count, self._present))
            self._present = {}
        if self._present is not None:
            self._present[stage] = self._present.get(stage, 0.0) + ms

    @property
    def now_ns(self) -> int:
        return self._clock_ns()


class _TimedSession(SessionAround):
    def __init__(self, session: Session, times: StageTimes) -> None:
        super().__init__(session)
        self._times = times

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        began_ns = self._times.now_ns
        outputs = super().run(feeds)
        self._times.note(self.spec.name, began_ns)
        return outputs
