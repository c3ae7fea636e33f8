"""A stage that a server runs. What is remembered of a stream stays on this side."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from masklet.runtime.backends.kserve.connection import Connection, RefusedError
from masklet.runtime.backends.kserve.library import load_client
from masklet.runtime.backends.kserve.shared_memory import SharedRegion, SharedRegions, offsets
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.served_model import ServedModel
from masklet.runtime.bundle.spec import StageSpec, Tensor, TensorSpec
from masklet.runtime.errors import SessionError

DATATYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}
"""The protocol's names of the types of tensors."""


class KServeSession:
    """A stage as a model of a server. regions: memory shared with the server; None to send tensors through gRPC."""

    def __init__(
        self, spec: StageSpec, connection: Connection, model: ServedModel, regions: SharedRegions | None
    ) -> None:
        self._spec, self._connection, self._model, self._regions = spec, connection, model, regions
        self._grpc = load_client()
        self._wanted = [self._grpc.InferRequestedOutput(t.name) for t in spec.outputs]
        self._closed = False

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self._spec.check(feeds)
        if self._closed:
            raise SessionError(f"stage {self._spec.name!r} was closed")
        arrays = {name: np.asarray(feed) for name, feed in feeds.items()}
        try:
            if self._regions is None:
                return self._through_grpc(arrays, sizes)
            return self._through_memory(self._regions, arrays, sizes)
        except RefusedError as error:
            raise SessionError(f"stage {self._spec.name!r}: the server refused a request: {error}") from None
        except SessionError as error:
            raise SessionError(f"stage {self._spec.name!r}: {error}") from None

    def close(self) -> None:
        self._closed = True
        if self._regions is not None:
            self._regions.close()

    def _through_grpc(self, arrays: Mapping[str, Tensor], sizes: Mapping[str, int]) -> dict[str, Tensor]:
        inputs = [self._input(tensor, arrays[tensor.name]) for tensor in self._spec.inputs]
        for given, tensor in zip(inputs, self._spec.inputs, strict=True):
            given.set_data_from_numpy(arrays[tensor.name])
        result = self._connection.infer(self._model, inputs, self._wanted)
        return {t.name: self._checked(t, result.as_numpy(t.name), sizes).copy() for t in self._spec.outputs}

    def _through_memory(
        self, regions: SharedRegions, arrays: Mapping[str, Tensor], sizes: Mapping[str, int]
    ) -> dict[str, Tensor]:
        bytes_of = {t.name: t.nbytes(sizes) for t in (*self._spec.inputs, *self._spec.outputs)}
        places, total = offsets(bytes_of)
        with regions.region(total) as region:
            inputs = [self._placed(t, arrays[t.name], region, places[t.name]) for t in self._spec.inputs]
            outputs = [self._grpc.InferRequestedOutput(t.name) for t in self._spec.outputs]
            for wanted, tensor in zip(outputs, self._spec.outputs, strict=True):
                wanted.set_shared_memory(region.name, bytes_of[tensor.name], places[tensor.name])
            result = self._infer_again_if_restarted(region, inputs, outputs)
            return {
                t.name: self._result_in(region, t, places[t.name], result.get_output(t.name), sizes)
                for t in self._spec.outputs
            }

    def _infer_again_if_restarted(self, region: SharedRegion, inputs: list[Any], outputs: list[Any]) -> Any:
        """Run; a server that was restarted between two calls, or during this one, does not know the region any more."""
        try:
            return self._connection.infer(self._model, inputs, outputs)
        except RefusedError:
            region.register()
            return self._connection.infer(self._model, inputs, outputs)

    def _placed(self, tensor: TensorSpec, array: Tensor, region: SharedRegion, offset: int) -> Any:
        given = self._input(tensor, array)
        if not array.nbytes:  # a region has no empty parts
            given.set_data_from_numpy(array)
            return given
        region.view(offset, tensor.numpy_dtype, array.shape)[...] = array
        given.set_shared_memory(region.name, array.nbytes, offset)
        return given

    def _result_in(
        self, region: SharedRegion, tensor: TensorSpec, offset: int, said: Any, sizes: Mapping[str, int]
    ) -> Tensor:
        if said is None or (said.datatype, tuple(said.shape)) != (DATATYPES[tensor.dtype], tensor.sized(sizes)):
            got = "nothing" if said is None else f"{said.datatype}{list(said.shape)}"
            raise self._mismatch(tensor, got, sizes)
        return region.view(offset, tensor.numpy_dtype, tensor.sized(sizes)).copy()

    def _checked(self, tensor: TensorSpec, got: Tensor | None, sizes: Mapping[str, int]) -> Tensor:
        if got is None or (got.dtype, got.shape) != (tensor.numpy_dtype, tensor.sized(sizes)):
            raise self._mismatch(tensor, "nothing" if got is None else f"{got.dtype}{list(got.shape)}", sizes)
        return got

    def _mismatch(self, tensor: TensorSpec, got: str, sizes: Mapping[str, int]) -> SessionError:
        wanted = f"{tensor.dtype}{list(tensor.sized(sizes))}"
        return SessionError(f"{self._connection.url} returned {got} as {tensor.name!r}, expected {wanted}")

    def _input(self, tensor: TensorSpec, array: Tensor) -> Any:
        return self._grpc.InferInput(tensor.name, list(array.shape), DATATYPES[tensor.dtype])
