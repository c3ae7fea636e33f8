"""The observer: sessions around sessions, which keep what every stage put out on the last frame."""

from collections.abc import Sequence

import numpy as np
from masklet.calibration.diagnosis.observer.inner_tensors import PROMPTED_CELLS
from masklet.calibration.diagnosis.observer.memory_shares import ASKING_CELLS, MEMORY_SHARES
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.spec import Tensor

INNER = (PROMPTED_CELLS, MEMORY_SHARES)  # what the model's own stages do not put out


class Observer:
    """What was fed to every stage and what it put out since `begin`. Give `wrap` to `Sessions.open`.

    The observed pipeline follows one object, so that every stage runs at most once a frame. The tensors are the
    pipeline's own and not copies.
    """

    def __init__(self) -> None:
        self.feeds: dict[str, Feeds] = {}
        self.outputs: dict[str, dict[str, Tensor]] = {}
        self.asking: Sequence[int] = (0,)

    def wrap(self, session: Session) -> Session:
        """Observe a session; that of the image encoder runs once for the objects of a frame."""
        return ObservedSession(EncodedOnce(session) if session.spec.name == "image_encoder" else session, self)

    def begin(self, asking: Sequence[int]) -> None:
        """Forget the last frame. asking: cells of the frame whose attention to memories is wanted, some at least."""
        self.feeds.clear()
        self.outputs.clear()
        self.asking = asking


class ObservedSession(SessionAround):
    """A session whose feeds and outputs an observer sees. Outputs beyond the model's go no further."""

    def __init__(self, session: Session, observer: Observer) -> None:
        super().__init__(session)
        self._observer = observer

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        if self.spec.accepts(ASKING_CELLS):
            feeds = {**feeds, ASKING_CELLS: np.array(self._observer.asking, np.int64)}
        outputs = super().run(feeds)
        self._observer.feeds[self.spec.name] = feeds
        self._observer.outputs[self.spec.name] = outputs
        return {name: tensor for name, tensor in outputs.items() if name not in INNER}


class EncodedOnce(SessionAround):
    """A session that runs once for equal feeds in a row: several objects are followed one by one on each frame."""

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._feeds: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        if feeds.keys() != self._feeds.keys() or not all(np.array_equal(feeds[n], self._feeds[n]) for n in feeds):
            self._feeds = {name: np.array(feed) for name, feed in feeds.items()}
            self._outputs = super().run(feeds)
        return self._outputs
