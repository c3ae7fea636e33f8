"""Preflight check: whether the engines of a bundle fit a device, before anything is built.

Running: the weights of all engines, the activations of the largest stage (stages run one after another and share them),
the tensors between stages, and the memory bank. Building: one engine at a time, with its weights twice, in the builder
and in the plan, and its activations. On a board with shared memory, the part reserved for the system and this process
is subtracted first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from masklet.export.engines.device_profile import DeviceProfile
from masklet.export.engines.memory import CONTEXT_BYTES, StageMemory
from masklet.export.engines.shapes import symbol_sizes
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.tracking.known_policies import bank_bytes

USUAL, MOST = 0, 1
MARGIN = 0.85  # usable share of a device's memory: estimates have errors, and others use the device, too


@dataclass(frozen=True, slots=True)
class Preflight:
    """Estimated bytes to build and to run, the latter at the usual and at the largest shapes. limit: of the device."""

    build: int
    run: tuple[int, int]
    limit: int | None

    @property
    def verdict(self) -> str:
        """Whether it fits, as text."""
        if self.limit is None:
            return "the memory of the device is not known; give --device NAME"
        if max(self.build, self.run[USUAL]) > self.limit:
            return "does not fit: reduce [sizes] in your own device profile, or use FP16"
        if self.run[MOST] > self.limit:
            return "fits at the usual sizes, not with the maximum objects and memories"
        return "fits"

    @property
    def fits(self) -> bool:
        """Whether building, and running at the usual shapes, fit, as far as that is known."""
        return self.limit is None or max(self.build, self.run[USUAL]) <= self.limit


def preflight(model: ModelSpec, stages: Sequence[StageMemory], device: DeviceProfile) -> Preflight:
    """Add up the memory that the stages of a model need on a device."""
    weights = sum(stage.weights for stage in stages)
    builds = [2 * stage.weights + stage.activations[MOST] for stage in stages]
    objects = {USUAL: _objects(model, device, USUAL), MOST: _objects(model, device, MOST)}
    run = [
        CONTEXT_BYTES
        + weights
        + max(stage.activations[at] for stage in stages)
        + _between(model, device, at)
        + objects[at] * bank_bytes(model)
        for at in (USUAL, MOST)
    ]
    limit = None if device.memory_mb is None else int(((device.memory_mb - device.reserved_mb) << 20) * MARGIN)
    return Preflight(CONTEXT_BYTES + max(builds), (run[USUAL], run[MOST]), limit)


def _objects(model: ModelSpec, device: DeviceProfile, at: int) -> int:
    sizes = [symbol_sizes(model, stage, "objects", device) for stage in model.stages if "objects" in stage.symbols()]
    return max((size[1 + at] for size in sizes), default=1)


def _between(model: ModelSpec, device: DeviceProfile, at: int) -> int:
    """Bytes of the tensors passed between stages, each counted once."""
    total: dict[str, int] = {}
    for stage in model.stages:
        sizes = {symbol: symbol_sizes(model, stage, symbol, device)[1 + at] for symbol in stage.symbols()}
        total |= {tensor.name: tensor.nbytes(sizes) for tensor in stage.outputs}
    return sum(total.values())
