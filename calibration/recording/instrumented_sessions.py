"""Sessions that record the magnitude of every tensor inside their graph while the ordinary pipeline runs.

Nodes added to the graph with standard operators reduce every tensor to its extremes, and sample those that may become
INT8, so the additional outputs are small for tensors of any size.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from masklet.calibration.graphs.changed_graph import open_changed_graph
from masklet.calibration.graphs.instrumented import REDUCED, instrumented, sample_name
from masklet.calibration.graphs.int8 import weighted_nodes
from masklet.calibration.graphs.ranges import Magnitudes
from masklet.calibration.graphs.stage_graph import PLAIN, copied, fold_transposed_weights, tensor_types
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import CalibrationError
from onnx import TensorProto, helper

SAMPLE = 8192  # numbers of a tensor sampled per call, up to a small factor
STRIDES = (1, 3, 11, 31, 101, 307, 1009, 3001, 10007)  # primes, so that a stride reaches every channel
EXTREMES = ("ReduceMin", "ReduceMax")

Statistics = dict[str, Magnitudes]  # by tensor
Strides = dict[str, int]  # by sampled tensor: distance between sampled numbers


class InstrumentedBackend:
    """A backend that opens recording sessions and collects statistics by stage, starting from given ones.

    strides: by stage; chosen from the tensor sizes of the first call of a stage, then fixed.
    """

    def __init__(
        self,
        threads: int | None = None,
        statistics: dict[str, Statistics] | None = None,
        strides: dict[str, Strides] | None = None,
    ) -> None:
        self._threads = threads
        self.statistics = statistics if statistics is not None else {}
        self.strides = strides if strides is not None else {}

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        return bundle.artifact(stage.name, (PLAIN,))

    def open(self, bundle: Bundle, stage: StageSpec) -> "InstrumentedSession":
        path = bundle.path(self.artifact(bundle, stage))
        seen, strides = self.statistics.setdefault(stage.name, {}), self.strides.setdefault(stage.name, {})
        return InstrumentedSession(stage, path, self._threads, seen, strides)


class InstrumentedSession:
    """A session that records its tensors. Raises CalibrationError naming stage and tensor for a non-finite number."""

    def __init__(self, spec: StageSpec, path: Path, threads: int | None, seen: Statistics, strides: Strides) -> None:
        self._spec, self._path, self._threads, self._seen, self._strides = spec, path, threads, seen, strides
        self._model = onnx.load(path, load_external_data=False)
        fold_transposed_weights(self._model.graph, path.parent)
        types = tensor_types(self._model)
        made = [value.name for value in self._model.graph.input]
        made += [name for node in self._model.graph.node for name in node.output]
        self._tensors = [name for name in made if types.get(name) == TensorProto.FLOAT]
        self._sampled = sorted({node.input[0] for node in weighted_nodes(self._model.graph)})
        self._session: Any = None

    @property
    def spec(self) -> StageSpec:
        return self._spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._spec.check(feeds)
        if self._session is None:
            if not self._strides:
                self._strides.update(self._strides_for(feeds))
            self._session = self._opened(instrumented(self._model, self._tensors, EXTREMES, self._strides))
        names = [t.name for t in self._spec.outputs]
        found = self._session.run([*names, REDUCED, *map(sample_name, self._sampled)], dict(feeds))
        outputs = dict(zip(names, found, strict=False))
        if not all(np.isfinite(x).all() for x in outputs.values()):
            raise CalibrationError(self._first_not_finite(feeds))
        samples = dict(zip(self._sampled, found[len(names) + 1 :], strict=True))
        for name, (least, most) in zip(self._tensors, found[len(names)].reshape(-1, 2), strict=True):
            if name not in self._seen:
                self._seen[name] = Magnitudes()
            self._seen[name].add(float(max(-least, most)), samples.get(name))
        return outputs

    def close(self) -> None:
        self._session = None

    def _strides_for(self, feeds: Feeds) -> Strides:
        """Strides from the sizes of the sampled tensors, which are known after a call."""
        model = copied(self._model)
        sizes = [f"{name}_size" for name in self._sampled]
        for name, size in zip(self._sampled, sizes, strict=True):
            model.graph.node.append(helper.make_node("Size", [name], [size], f"{size}_of"))
            model.graph.output.append(helper.make_tensor_value_info(size, TensorProto.INT64, []))
        found = self._opened(model).run(sizes, dict(feeds)) if sizes else []
        return {
            name: max(s for s in STRIDES if s == 1 or s * SAMPLE <= int(size))
            for name, size in zip(self._sampled, found, strict=True)
        }

    def _opened(self, model: onnx.ModelProto) -> Any:
        return open_changed_graph(model, self._path, self._spec.name, self._threads, in_order=True)

    def _first_not_finite(self, feeds: Feeds) -> str:
        """Sum every tensor; name the first one in graph order whose sum is not finite."""
        session = self._opened(instrumented(self._model, self._tensors, ("ReduceSum",), {}))
        (sums,) = session.run([REDUCED], dict(feeds))
        first = next((name for name, total in zip(self._tensors, sums, strict=True) if not np.isfinite(total)), "?")
        return (
            f"stage {self._spec.name!r}, tensor {first!r}: has NaN or infinite values, so calibration is not "
            "possible; check the checkpoint with `masklet verify`"
        )
