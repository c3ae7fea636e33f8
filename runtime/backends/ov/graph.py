"""A stage's graph in OpenVINO: read once, compiled for a shape or for all of them, run into arrays of the caller's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from masklet.runtime.backends.ov.bfloat16 import round_to_nearest
from masklet.runtime.backends.ov.library import load_openvino, reason, unsupported_node
from masklet.runtime.backends.session import Feeds, check_tensors
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError


class CompiledGraph:
    """A compiled graph with the one request that runs it. Raises SessionError naming the stage where it fails."""

    def __init__(self, spec: StageSpec, compiled: Any, tensor: Any) -> None:
        self._spec, self._tensor = spec, tensor
        self._request = compiled.create_infer_request()
        self._inputs = {port.any_name: index for index, port in enumerate(compiled.inputs)}
        self._outputs = {port.any_name: index for index, port in enumerate(compiled.outputs)}

    def run(self, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """Run on feeds, read in place, into new arrays. sizes: of the symbols."""
        outputs: dict[str, Tensor] = {t.name: np.empty(t.sized(sizes), t.dtype) for t in self._spec.outputs}
        given = {name: np.require(feed, requirements=("C", "W")) for name, feed in feeds.items()}
        try:
            for name, array in given.items():
                self._request.set_input_tensor(self._inputs[name], self._tensor(array, shared_memory=True))
            for name, array in outputs.items():
                self._request.set_output_tensor(self._outputs[name], self._tensor(array, shared_memory=True))
            self._request.infer()
        except (RuntimeError, MemoryError) as error:
            raise SessionError(f"stage {self._spec.name!r}: OpenVINO failed: {reason(error)}") from error
        return outputs


class StageGraph:
    """A graph on disk, compiled when asked.

    core: of OpenVINO. device, config: to compile it for, and how. cache: where compiled models are kept on disk.
    Raises SessionError where it cannot be read, has other tensors than declared, or a node that OpenVINO lacks.
    """

    def __init__(
        self, spec: StageSpec, path: Path, core: Any, device: str, config: Mapping[str, Any], cache: Path | None
    ) -> None:
        self.spec, self.cache = spec, cache
        self._core, self._device, self._config = core, device, dict(config)
        self._tensor = load_openvino().Tensor
        try:
            self._model = core.read_model(str(path))
        except (RuntimeError, MemoryError) as error:
            raise SessionError(f"stage {spec.name!r}: {path} cannot be opened: {_why(error, path)}") from error
        check_tensors(spec, {port.any_name for port in (*self._model.inputs, *self._model.outputs)})
        if self.exact:
            round_to_nearest(self._model)

    @property
    def exact(self) -> bool:
        """Whether everything is computed in FP32."""
        return bool(self._config["INFERENCE_PRECISION_HINT"] == "f32")

    @property
    def compiles_slowly(self) -> bool:
        """Whether compiling takes seconds and more, as for GPUs and NPUs."""
        return self._device != "CPU"

    def compile(self, sizes: Mapping[str, int] | None = None, *, on_disk: bool = False) -> CompiledGraph:
        """Compile for the given size of each symbol, which is fastest; for all of them where None.

        on_disk: look in the cache on disk, and keep it there.
        """
        model, config = self._model, dict(self._config)
        if sizes is not None:
            model = model.clone()
            model.reshape({t.name: list(t.sized(sizes)) for t in self.spec.inputs})
        if on_disk and self.cache is not None:
            config["CACHE_DIR"] = str(self.cache)
        try:
            compiled = self._core.compile_model(model, self._device, config)
        except (RuntimeError, MemoryError) as error:
            where = f"stage {self.spec.name!r}: OpenVINO cannot compile it for {self._device}"
            raise SessionError(f"{where}: {reason(error)}") from error
        return CompiledGraph(self.spec, compiled, self._tensor)


def _why(error: BaseException, path: Path) -> str:
    node = unsupported_node(path) if "conver" in str(error) else None
    return reason(error) + (f" (the node that makes {node!r})" if node else "")
