"""Base class of sessions on a GPU: copies inputs to the device, and leaves outputs there or copies them back."""

from abc import ABC, abstractmethod
from typing import Any, cast

import numpy as np
from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import ModelSpec, StageSpec, Tensor
from masklet.runtime.errors import SessionError

BANK = frozenset({"new_memory", "pointer", "candidate_pointers"})  # outputs that the memory bank stores
READ_BY_HOST = frozenset({"low_res_mask", "object_score", "iou", "mask_prompt"})  # read by trackers on the host

DeviceArrays = dict[str, DeviceArray]


def resident_outputs(model: ModelSpec, stage: StageSpec) -> frozenset[str]:
    """The outputs of a stage that only other stages and the memory bank use: they stay on the device."""
    taken = {tensor.name for other in model.stages if other.name != stage.name for tensor in other.inputs}
    return frozenset(t.name for t in stage.outputs if t.name in taken | BANK and t.name not in READ_BY_HOST)


class GpuInUse:
    """The memory that the sessions of one backend share; closing the last of them frees it."""

    def __init__(self, memory: DeviceMemory) -> None:
        self.memory = memory
        self.is_open = True
        self._users = 0

    def taken(self) -> None:
        """Count a session. Raises SessionError if the memory was already freed."""
        if not self.is_open:
            raise SessionError("the GPU memory of this backend was freed with its last session; make a new backend")
        self._users += 1

    def left(self) -> None:
        self._users -= 1
        if not self._users:
            self.is_open = False
            self.memory.close()
            self.memory.cuda.close()


class DeviceSession(ABC):
    """A stage on a GPU. Inputs and outputs may be on the host or on the device, see `DeviceArray`."""

    def __init__(self, spec: StageSpec, model: ModelSpec, gpu: GpuInUse) -> None:
        self._spec, self._gpu, self._memory = spec, gpu, gpu.memory
        self._stays = resident_outputs(model, spec)
        self._is_open = True
        gpu.taken()

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self._spec.check(feeds)
        if not self._is_open:
            raise SessionError(f"stage {self._spec.name!r} was closed")
        return self._checked(feeds, sizes)

    def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._release()
            self._gpu.left()

    @abstractmethod
    def _compute(self, feeds: DeviceArrays, sizes: dict[str, int]) -> DeviceArrays:
        """Start the stage on inputs on the device; the outputs belong to the caller."""

    @abstractmethod
    def _release(self) -> None:
        """Release the engine."""

    def _checked(self, feeds: Feeds, sizes: dict[str, int]) -> dict[str, Tensor]:
        return self._handed_over(self._compute({name: self._placed(feed) for name, feed in feeds.items()}, sizes))

    def _new(self, sizes: dict[str, int]) -> DeviceArrays:
        """Allocate the outputs."""
        return {t.name: self._memory.empty(t.sized(sizes), np.dtype(t.dtype)) for t in self._spec.outputs}

    def _placed(self, feed: "Tensor | DeviceArray") -> DeviceArray:
        on_device = isinstance(feed, DeviceArray) and feed.memory is self._memory
        return cast(DeviceArray, feed) if on_device else self._memory.upload(np.asarray(feed))

    def _handed_over(self, outputs: DeviceArrays) -> dict[str, Tensor]:
        """Copy the outputs that the host reads, with one wait for all; the others stay on the device."""
        fetched = [name for name in outputs if name not in self._stays]
        values: dict[str, Any] = dict(outputs)
        if fetched:
            values |= dict(zip(fetched, self._memory.download(*(outputs[name] for name in fetched)), strict=True))
        return values
