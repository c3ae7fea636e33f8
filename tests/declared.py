"""Sessions made of a declaration alone: they take what a stage takes and give what it gives, without a model."""

import zlib

import numpy as np
from masklet.runtime.backends.session import Feeds
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor


class DeclaredSession:
    """A stage whose outputs are drawn, the same on every call: floats are standard normal, integers 0 or 1."""

    def __init__(self, spec: StageSpec) -> None:
        self._spec = spec

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self._spec.check(feeds)
        rng = np.random.default_rng(zlib.crc32(self._spec.name.encode()))
        drawn: dict[str, Tensor] = {}
        for tensor in self._spec.outputs:
            shape, dtype = tensor.sized(sizes), np.dtype(tensor.dtype)
            values = rng.standard_normal(shape, np.float32) if dtype.kind == "f" else rng.integers(0, 2, shape)
            drawn[tensor.name] = np.asarray(values, dtype)
        return drawn

    def close(self) -> None:
        """Nothing is held."""


def declared_sessions(bundle: Bundle) -> Sessions:
    """A session of each stage that a bundle declares."""
    return Sessions(bundle.model, {s.name: DeclaredSession(s) for s in bundle.model.stages}, bundle.asset)
