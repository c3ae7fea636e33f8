"""A GPU made of host memory, and engines that ONNX Runtime runs at the addresses that they are given.

Both satisfy the protocols that the real classes satisfy, so the whole TensorRT backend runs here, with true numbers.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnxruntime
from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.backends.trt.engine import Context, Engine
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError

FACTS = DeviceFacts("Fake GPU", "8.7", "CUDA 13.0", 8 << 30, integrated=False)


@dataclass
class FakeCuda:
    """Addresses are those of numpy's own memory. uploaded, downloaded: bytes that crossed between host and device."""

    facts: DeviceFacts = FACTS
    stream: int = 7
    uploaded: int = 0
    downloaded: int = 0
    launches: int = 0
    has_graphs: bool = True
    limit: int | None = None
    blocks: dict[int, Tensor] = field(default_factory=dict)
    pinned: dict[int, Tensor] = field(default_factory=dict)
    recorded: dict[int, list[Callable[[], None]]] = field(default_factory=dict)
    recording: list[Callable[[], None]] | None = None
    closed: bool = False

    def allocate(self, nbytes: int) -> int:
        if self.limit is not None and sum(b.nbytes for b in self.blocks.values()) + nbytes > self.limit:
            raise SessionError(f"out of GPU memory at cudaMalloc of {nbytes / 1e6:.0f} MB")
        block = np.full(nbytes, 0xAB, np.uint8)
        self.blocks[block.ctypes.data] = block
        return block.ctypes.data

    def free(self, address: int) -> None:
        del self.blocks[address]

    def allocate_host(self, nbytes: int) -> tuple[Tensor, int]:
        memory = np.full(nbytes, 0xCD, np.uint8)
        self.pinned[memory.ctypes.data] = memory
        return memory, memory.ctypes.data

    def free_host(self, memory: Tensor) -> None:
        del self.pinned[memory.ctypes.data]

    def upload(self, address: int, source: Tensor) -> None:
        assert source.ctypes.data in self.pinned
        self.uploaded += source.nbytes
        ctypes.memmove(address, source.ctypes.data, source.nbytes)

    def download(self, target: Tensor, address: int) -> None:
        assert target.ctypes.data in self.pinned
        self.downloaded += target.nbytes
        ctypes.memmove(target.ctypes.data, address, target.nbytes)

    def copy(self, target: int, source: int, nbytes: int) -> None:
        ctypes.memmove(target, source, nbytes)

    def synchronize(self) -> None:
        assert not self.closed

    def capture(self, work: Callable[[], None]) -> int | None:
        if not self.has_graphs:
            return None
        self.recording = []
        work()
        self.recorded[len(self.recorded) + 1], self.recording = self.recording, None
        return len(self.recorded)

    def launch(self, graph: int) -> None:
        self.launches += 1
        for step in self.recorded[graph]:
            step()

    def close(self) -> None:
        self.closed = True


class FakeEngine:
    """A graph as an engine. ranges: of each profile, the fewest and the most of every symbol."""

    def __init__(
        self, cuda: FakeCuda, spec: StageSpec, graph: str, ranges: list[dict[str, tuple[int, int]]] | None = None
    ) -> None:
        self.cuda, self.spec = cuda, spec
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self.ranges = ranges or [dict.fromkeys(spec.symbols(), (1, 64))]
        self.tensors = (*spec.inputs, *spec.outputs)

    @property
    def engine(self) -> Engine:
        return self

    @property
    def num_io_tensors(self) -> int:
        return len(self.tensors)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.ranges)

    def get_tensor_name(self, index: int) -> str:
        return self.tensors[index].name

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        tensor = next(t for t in self.spec.inputs if t.name == name)
        fewest, most = ({s: r[k] for s, r in self.ranges[profile_index].items()} for k in range(2))
        return [tensor.sized(fewest), tensor.sized(fewest), tensor.sized(most)]

    def dtype(self, name: str) -> Any:
        return np.dtype(next(t.dtype for t in self.tensors if t.name == name)).type

    def context(self) -> Context:
        return FakeContext(self)


class FakeContext:
    """Reads and writes the addresses that it was given, and refuses to run without what TensorRT would want."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self._profile: int | None = None
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = profile_index
        return stream_handle == self._engine.cuda.stream

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        low, _, high = self._engine.get_tensor_profile_shape(name, self._profile or 0)
        self._shapes[name] = shape
        return len(shape) == len(low) and all(a <= n <= b for a, n, b in zip(low, shape, high, strict=True))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory % 256 == 0 or memory > 0

    def infer_shapes(self) -> list[str]:
        return [t.name for t in self._engine.spec.inputs if t.name not in self._shapes]

    def update_device_memory_size_for_shapes(self) -> int:
        return 1024 * sum(int(np.prod(shape)) % 7 + 1 for shape in self._shapes.values())

    def set_device_memory(self, memory: int, size: int) -> None:
        self._scratch = size

    def execute_async_v3(self, stream_handle: int) -> bool:
        ready = self._profile is not None and self._scratch >= self.update_device_memory_size_for_shapes()
        if not ready or stream_handle != self._engine.cuda.stream:
            return False
        if self._engine.cuda.recording is None:
            self._compute()
        else:
            shapes, addresses = dict(self._shapes), dict(self._addresses)
            self._engine.cuda.recording.append(lambda: self._compute(shapes, addresses))
        return True

    def _compute(
        self, shapes: dict[str, tuple[int, ...]] | None = None, addresses: dict[str, int] | None = None
    ) -> None:
        shapes, addresses = shapes or self._shapes, addresses or self._addresses
        feeds = {
            t.name: at(addresses[t.name], shapes[t.name], np.dtype(t.dtype)).copy() for t in self._engine.spec.inputs
        }
        names = [t.name for t in self._engine.spec.outputs]
        for name, value in zip(names, self._engine.session.run(names, feeds), strict=True):
            at(addresses[name], value.shape, value.dtype)[...] = value


def at(address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
    count = int(np.prod(shape)) * dtype.itemsize
    raw = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(address))
    return raw.view(dtype).reshape(shape)
