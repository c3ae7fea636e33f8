"""Sessions on TensorRT engines. What one stage leaves for another, or for the memory bank, stays on the device."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from masklet.runtime.backends.gpu.cuda import open_cuda
from masklet.runtime.backends.gpu.cuda.protocol import Cuda
from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.backends.gpu.device_session import DeviceArrays, DeviceSession, GpuInUse
from masklet.runtime.backends.session import Feeds
from masklet.runtime.backends.trt.engine import Context, OpenEngine
from masklet.runtime.backends.trt.engine_choice import EnginePlan, checked_plan, choose_engine
from masklet.runtime.backends.trt.fingerprint import machine_fingerprint
from masklet.runtime.backends.trt.library import Backend
from masklet.runtime.backends.trt.loader import library_version, load_engine
from masklet.runtime.backends.trt.profiles import EngineProfiles
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import ModelSpec, StageSpec, Tensor
from masklet.runtime.errors import SessionError

BATCHED = "objects"  # the symbol along which calls that are too large for an engine are split
USUAL = 0  # the profile that stands first, the narrowest

Loader = Callable[[Backend, EnginePlan], OpenEngine]  # raises SessionError


class TensorRt:
    """Opens stages from a bundle's engines, all on one GPU and one stream.

    backend: "tensorrt", or "tensorrt-rtx".
    graphs:  replay the sizes of an engine's first profile, the usual ones, as CUDA graphs from their second run on,
             for a graph keeps memory of its own; other sizes, and adapters without graphs, run as ever.
    cuda, load, version: stand in for the GPU and TensorRT in tests.
    Raises SessionError where there is no GPU.
    """

    def __init__(
        self,
        backend: Backend = "tensorrt",
        *,
        graphs: bool = False,
        cuda: Cuda | None = None,
        load: Loader = load_engine,
        version: Callable[[Backend], str] = library_version,
    ) -> None:
        self._backend, self._graphs, self._load = backend, graphs, load
        self._tensorrt = version(backend)
        cuda = cuda or open_cuda()
        self.memory = DeviceMemory(cuda)
        self._gpu, self._scratch = GpuInUse(self.memory), Scratch(self.memory)
        self._here = machine_fingerprint(self._tensorrt, cuda.facts)
        self.engine_machine = ", ".join(self._here.entries().values())
        self.ran_on: dict[str, str] = {}

    def __str__(self) -> str:
        """Itself, and where it runs."""
        graphs = " with CUDA graphs" if self._graphs else ""
        return f"{self._backend} {self._tensorrt} on {self.memory.cuda.facts.name}{graphs}"

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        return choose_engine(bundle, stage.name, self._backend, self._here)

    def open(self, bundle: Bundle, stage: StageSpec) -> "TensorRtSession":
        artifact = self.artifact(bundle, stage)
        opened = self._load(self._backend, checked_plan(bundle, artifact))
        self.ran_on[stage.name] = f"{self._backend} {artifact.precision}"
        return TensorRtSession(stage, bundle.model, self._gpu, opened, self._scratch, graphs=self._graphs)


class Scratch:
    """Memory that all engines share while they run, since they run one after another; it grows to the largest need."""

    def __init__(self, memory: DeviceMemory) -> None:
        self._memory = memory
        self._held: DeviceArray | None = None

    def at_least(self, nbytes: int) -> DeviceArray:
        if self._held is None or self._held.nbytes < nbytes:
            self._held = None
            self._memory.trim()  # or every size that is outgrown would stay taken
            self._held = self._memory.empty((max(1, nbytes),), np.dtype(np.uint8))
        return self._held


class _Replay(NamedTuple):
    """A captured run: its graph, the arrays that it reads and writes, and what has to live as long."""

    graph: int
    feeds: DeviceArrays
    outputs: DeviceArrays
    alive: tuple[object, ...]


class TensorRtSession(DeviceSession):
    """A stage opened by TensorRT."""

    def __init__(
        self, spec: StageSpec, model: ModelSpec, gpu: GpuInUse, opened: OpenEngine, scratch: Scratch, *, graphs: bool
    ) -> None:
        self._profiles = EngineProfiles(spec, opened)
        super().__init__(spec, model, gpu)
        self._opened, self._scratch, self._graphs = opened, scratch, graphs
        self._contexts: dict[int, Context] = {}
        self._replays: dict[tuple[int, ...], _Replay | None] = {}

    def _checked(self, feeds: Feeds, sizes: dict[str, int]) -> dict[str, Tensor]:
        limit = self._profiles.most(BATCHED)
        if limit is not None and sizes[BATCHED] > limit:
            return self._in_parts(feeds, sizes[BATCHED], limit)
        return super()._checked(feeds, sizes)

    def _compute(self, feeds: DeviceArrays, sizes: dict[str, int]) -> DeviceArrays:
        if self._graphs:
            return self._replayed(feeds, sizes)
        return self._run(feeds, sizes)

    def _release(self) -> None:
        self._replays.clear()
        self._contexts.clear()
        del self._opened

    def _run(self, feeds: DeviceArrays, sizes: dict[str, int]) -> DeviceArrays:
        profile, outputs = self._profiles.choose(sizes), self._new(sizes)
        if profile not in self._contexts:
            self._contexts[profile] = self._new_context(profile)
        context = self._contexts[profile]
        needed = self._prepare(context, feeds, outputs)
        scratch = self._scratch.at_least(needed)
        context.set_device_memory(scratch.address, scratch.nbytes)
        self._start(context)
        return outputs

    def _new_context(self, profile: int) -> Context:
        context = self._opened.context()
        if not context.set_optimization_profile_async(profile, self._memory.cuda.stream):
            raise SessionError(f"stage {self._spec.name!r}: its engine has no profile {profile}; build it again")
        return context

    def _prepare(self, context: Context, feeds: DeviceArrays, outputs: DeviceArrays) -> int:
        """Give a context its shapes and addresses; returns the bytes of scratch memory that it needs for them."""
        taken = [context.set_input_shape(name, feed.shape) for name, feed in feeds.items()]
        taken += [context.set_tensor_address(name, array.address) for name, array in (feeds | outputs).items()]
        if not all(taken) or context.infer_shapes():
            shapes = {name: list(feed.shape) for name, feed in feeds.items()}
            raise SessionError(f"stage {self._spec.name!r}: its engine does not take feeds of {shapes}")
        return context.update_device_memory_size_for_shapes()

    def _start(self, context: Context) -> None:
        if not context.execute_async_v3(self._memory.cuda.stream):
            raise SessionError(f"stage {self._spec.name!r}: TensorRT could not start it")

    def _replayed(self, feeds: DeviceArrays, sizes: dict[str, int]) -> DeviceArrays:
        """Replay a captured run, once a plain one has been: feeds are copied to its addresses, outputs from them."""
        if self._profiles.choose(sizes) != USUAL:
            return self._run(feeds, sizes)
        key = tuple(sizes[symbol] for symbol in sorted(sizes))
        if key not in self._replays:
            self._replays[key] = None
            return self._run(feeds, sizes)
        replay = self._replays[key] or self._captured(sizes, feeds)
        if replay is None:
            self._graphs = False
            return self._run(feeds, sizes)
        self._replays[key] = replay
        for name, feed in feeds.items():
            self._memory.write(replay.feeds[name], feed)
        self._memory.cuda.launch(replay.graph)
        outputs = self._new(sizes)
        for name, array in outputs.items():
            self._memory.write(array, replay.outputs[name])
        return outputs

    def _captured(self, sizes: dict[str, int], like: DeviceArrays) -> _Replay | None:
        """Capture a run on memory of its own, scratch included, for a graph keeps the addresses that it saw."""
        feeds = {name: self._memory.empty(feed.shape, feed.dtype) for name, feed in like.items()}
        outputs, context = self._new(sizes), self._new_context(self._profiles.choose(sizes))
        scratch = self._memory.empty((max(1, self._prepare(context, feeds, outputs)),), np.dtype(np.uint8))
        context.set_device_memory(scratch.address, scratch.nbytes)
        self._memory.cuda.synchronize()  # not the memory's: where feeds are staged they are still to be read
        graph = self._memory.cuda.capture(lambda: self._start(context))
        return None if graph is None else _Replay(graph, feeds, outputs, (context, scratch))

    def _in_parts(self, feeds: Feeds, count: int, limit: int) -> dict[str, Tensor]:
        """Run more objects than the engine was built for, some at a time."""
        batched = {t.name for t in self._spec.inputs if t.shape[:1] == (BATCHED,)}
        parts = [
            self.run({name: feed[at : at + limit] if name in batched else feed for name, feed in feeds.items()})
            for at in range(0, count, limit)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
