"""A stage on OpenVINO. Shapes that come again get a compiled model of their own; the others share a dynamic one."""

from collections.abc import Mapping
from threading import Lock

from masklet.runtime.backends.ov.dynamic_model import DynamicModel
from masklet.runtime.backends.ov.graph import CompiledGraph, StageGraph
from masklet.runtime.backends.ov.shapes import RecentShapes, Shape
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError


class OpenVinoSession:
    """A stage opened by OpenVINO. Feeds are read in place, and outputs written into arrays of the caller's.

    One call runs at a time; others wait for it. Memory is bounded: the dynamic model, and those of a few shapes.
    """

    def __init__(self, spec: StageSpec, graph: StageGraph) -> None:
        self._spec = spec
        self._graph: StageGraph | None = graph
        self._shapes = RecentShapes()
        self._of_shape: dict[Shape, CompiledGraph] = {}
        self._dynamic: DynamicModel | None = None
        self._lock = Lock()
        if not spec.symbols():
            self._specialised(graph, (), {})

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self._spec.check(feeds)
        with self._lock:
            if self._graph is None:
                raise SessionError(f"stage {self._spec.name!r} was closed")
            return self._run(self._graph, feeds, sizes)

    def close(self) -> None:
        with self._lock:
            self._graph = self._dynamic = None
            self._of_shape.clear()

    def _run(self, graph: StageGraph, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        shape = tuple(sizes.values())
        worth = self._shapes.is_worth(shape)
        if shape in self._of_shape:
            return self._of_shape[shape].run(feeds, sizes)
        if not worth:
            self._dynamic = self._dynamic or DynamicModel(graph)
            outputs = self._dynamic.run(feeds, sizes)
            if outputs is not None:
                return outputs
        return self._specialised(graph, shape, sizes).run(feeds, sizes)

    def _specialised(self, graph: StageGraph, shape: Shape, sizes: Mapping[str, int]) -> CompiledGraph:
        leaves = self._shapes.keep(shape)
        if leaves is not None:
            self._of_shape.pop(leaves, None)  # before the next is compiled, so that both are never there
        self._of_shape[shape] = graph.compile(sizes, on_disk=graph.compiles_slowly or not self._of_shape)
        return self._of_shape[shape]
