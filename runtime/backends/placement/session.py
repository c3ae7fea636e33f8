"""A stage that is run by what was chosen for it, at its first call where nothing was yet."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from masklet.runtime.backends.session import Feeds, Session
from masklet.runtime.bundle.spec import ModelSpec, StageSpec, Tensor
from masklet.runtime.errors import SessionError


class Chooses(Protocol):
    """Chooses what runs a stage, by the feeds of a call. Returns its session, and whether that is on the CPU."""

    def __call__(self, stage: StageSpec, feeds: Feeds, sizes: Mapping[str, int]) -> tuple[Session, bool]: ...


class PlacedSession:
    """A stage around the session that was chosen. choose: is called at the first run, where nothing was chosen.

    What an earlier stage left on a GPU is brought to the host for a stage that runs there.
    """

    def __init__(self, spec: StageSpec, choose: Chooses, chosen: tuple[Session, bool] | None = None) -> None:
        self._spec, self._choose, self._chosen = spec, choose, chosen
        self._closed = False

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        if self._closed:
            raise SessionError(f"stage {self._spec.name!r} was closed")
        if self._chosen is None:
            sizes = self._spec.check(feeds)
            self._chosen = self._choose(self._spec, on_host(feeds), sizes)
        session, on_cpu = self._chosen
        return session.run(on_host(feeds) if on_cpu else feeds)

    def close(self) -> None:
        self._closed = True
        if self._chosen is not None:
            self._chosen[0].close()


def on_host(feeds: Feeds) -> dict[str, Tensor]:
    """Feeds as arrays of the host, those that are as they are."""
    return {name: np.asarray(feed) for name, feed in feeds.items()}


def full_memory(model: ModelSpec, stage: StageSpec, feeds: Feeds) -> dict[str, Tensor]:
    """The feeds of an early call as those of a later one, when the memory bank is full: what is there is repeated."""
    if model.memory is None:
        return dict(feeds)
    full = {"memories": 1 + model.memory.recent_frames, "pointers": model.memory.pointers}
    grown: dict[str, Tensor] = {}
    for tensor in stage.inputs:
        feed = feeds[tensor.name]
        for axis, symbol in enumerate(tensor.shape):
            if isinstance(symbol, str) and symbol in full and feed.shape[axis]:
                feed = np.take(feed, np.arange(full[symbol]) % feed.shape[axis], axis)
        grown[tensor.name] = feed
    return grown
