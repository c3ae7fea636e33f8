"""Selects the optimisation profile of an engine for given sizes."""

from collections.abc import Mapping

import numpy as np
from masklet.runtime.backends.trt.engine import OpenEngine
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import SessionError


class EngineProfiles:
    """The sizes that each profile of an engine accepts. Raises SessionError if the engine is not of the stage."""

    def __init__(self, spec: StageSpec, opened: OpenEngine) -> None:
        self._spec = spec
        engine = opened.engine
        have = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}
        want = {t.name for t in (*spec.inputs, *spec.outputs)}
        if have != want:
            raise SessionError(f"stage {spec.name!r}: its engine has tensors {sorted(have)}, declared {sorted(want)}")
        for tensor in (*spec.inputs, *spec.outputs):
            if np.dtype(opened.dtype(tensor.name)) != tensor.dtype:
                got = np.dtype(opened.dtype(tensor.name)).name
                raise SessionError(f"stage {spec.name!r}: its engine has {tensor.name!r} as {got}, not {tensor.dtype}")
        self._ranges = [self._range(opened, index) for index in range(engine.num_optimization_profiles)]

    def choose(self, sizes: Mapping[str, int]) -> int:
        """The first profile that accepts these sizes; profiles are ordered from narrow to wide."""
        for index, ranges in enumerate(self._ranges):
            if all(low <= sizes[symbol] <= high for symbol, (low, high) in ranges.items()):
                return index
        built = "; ".join(", ".join(f"{s} {low}-{high}" for s, (low, high) in r.items()) for r in self._ranges)
        raise SessionError(
            f"stage {self._spec.name!r}: its engine was built for {built}, now come "
            f"{', '.join(f'{s} {n}' for s, n in sizes.items())}; build it for more with a device profile of your own"
        )

    def most(self, symbol: str) -> int | None:
        """The largest size of a symbol that any profile accepts; None if the stage does not have the symbol."""
        return max((ranges[symbol][1] for ranges in self._ranges if symbol in ranges), default=None)

    def _range(self, opened: OpenEngine, index: int) -> dict[str, tuple[int, int]]:
        ranges: dict[str, tuple[int, int]] = {}
        for tensor in self._spec.inputs:
            if all(isinstance(size, int) for size in tensor.shape):
                continue
            low, _, high = (tuple(shape) for shape in opened.engine.get_tensor_profile_shape(tensor.name, index))
            for axis, symbol in enumerate(tensor.shape):
                if isinstance(symbol, str):
                    ranges[symbol] = (int(low[axis]), int(high[axis]))
        return ranges
