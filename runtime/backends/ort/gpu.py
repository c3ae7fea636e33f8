"""ONNX Runtime on a GPU: inputs and outputs are bound to device memory, on the stream of that memory."""

from typing import TYPE_CHECKING, Any

from masklet.runtime.backends.gpu.device_session import DeviceArrays, DeviceSession, GpuInUse
from masklet.runtime.backends.ort.providers import first_line
from masklet.runtime.bundle.spec import ModelSpec, StageSpec
from masklet.runtime.errors import SessionError

if TYPE_CHECKING:
    import onnxruntime


class OnnxRuntimeGpuSession(DeviceSession):
    """A stage opened by ONNX Runtime on a GPU. device: ONNX Runtime's name of the memory's device."""

    def __init__(
        self,
        spec: StageSpec,
        model: ModelSpec,
        gpu: GpuInUse,
        session: "onnxruntime.InferenceSession",
        device: str = "cuda",
    ) -> None:
        super().__init__(spec, model, gpu)
        self._session: Any = session
        self._device = device

    def _compute(self, feeds: DeviceArrays, sizes: dict[str, int]) -> DeviceArrays:
        binding, outputs = self._session.io_binding(), self._new(sizes)
        try:
            for bind, arrays in ((binding.bind_input, feeds), (binding.bind_output, outputs)):
                for name, array in arrays.items():
                    bind(name, self._device, 0, array.dtype.type, array.shape, array.address)
            self._session.run_with_iobinding(binding)
        except Exception as error:  # ONNX Runtime's exceptions have no common base class
            raise SessionError(f"stage {self._spec.name!r}: ONNX Runtime failed: {first_line(error)}") from error
        return outputs

    def _release(self) -> None:
        self._session = None
