"""Sessions that see inside their graph: the ordinary pipeline runs, and each tensor's magnitudes are noted.

The graph with standard operators gets a few more nodes, which reduce every tensor to its extremes and those that may
become INT8 to a sample: what leaves the graph is small, whatever the size of its tensors.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from masklet.calibration.int8 import weighted_nodes
from masklet.calibration.ranges import Magnitudes
from masklet.calibration.stage_graph import PLAIN, fold_transposed_weights, tensor_types
from masklet.runtime.bundle import Bundle
from masklet.runtime.errors import CalibrationError, SessionError
from masklet.runtime.session import Feeds
from masklet.runtime.spec import StageSpec, Tensor
from onnx import TensorProto, helper, numpy_helper

SAMPLE = 8192  # numbers of a tensor that are looked at in a call, or a few times as many
STRIDES = (1, 3, 11, 31, 101, 307, 1009, 3001, 10007)  # primes, so that a stride meets every channel
WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
PEAKS = "masklet_peaks"

Statistics = dict[str, Magnitudes]  # by tensor


class Watching:
    """A backend that opens watched sessions and keeps their statistics by stage, going on from those it is given."""

    formats = (PLAIN,)

    def __init__(self, threads: int | None = None, statistics: dict[str, Statistics] | None = None) -> None:
        self._threads = threads
        self.statistics = statistics if statistics is not None else {}

    def open(self, bundle: Bundle, stage: StageSpec) -> "WatchedSession":
        path = bundle.path(bundle.artifact(stage.name, self.formats))
        return WatchedSession(stage, path, self._threads, self.statistics.setdefault(stage.name, {}))


class WatchedSession:
    """A stage that is watched. Raises CalibrationError naming stage and tensor where a number is not finite."""

    def __init__(self, spec: StageSpec, path: Path, threads: int | None, seen: Statistics) -> None:
        self._spec, self._path, self._threads, self._seen = spec, path, threads, seen
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
            self._session = self._opened(self._watched(self._strides(feeds)))
        names = [t.name for t in self._spec.outputs]
        found = self._session.run([*names, PEAKS, *map(_sample_name, self._sampled)], dict(feeds))
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

    def _strides(self, feeds: Feeds) -> dict[str, int]:
        """For each sampled tensor, every how many numbers are looked at: its size is known when it is there."""
        model = _copy(self._model)
        sizes = [f"{name}_size" for name in self._sampled]
        for name, size in zip(self._sampled, sizes, strict=True):
            model.graph.node.append(helper.make_node("Size", [name], [size], f"{size}_of"))
            model.graph.output.append(helper.make_tensor_value_info(size, TensorProto.INT64, []))
        found = self._opened(model).run(sizes, dict(feeds)) if sizes else []
        return {
            name: max(s for s in STRIDES if s == 1 or s * SAMPLE <= int(size))
            for name, size in zip(self._sampled, found, strict=True)
        }

    def _watched(self, strides: dict[str, int]) -> onnx.ModelProto:
        model = _copy(self._model)
        graph = model.graph
        peaks = []
        for name in self._tensors:
            for kind in ("ReduceMin", "ReduceMax"):
                peaks.append(f"{name}_{kind}")
                graph.node.append(helper.make_node(kind, [name], [peaks[-1]], peaks[-1], keepdims=0))
        flat = _constant(graph, "masklet_flat", [-1])
        lists = [_unsqueezed(graph, name, _constant(graph, "masklet_first_axis", [0])) for name in peaks]
        graph.node.append(helper.make_node("Concat", lists, [PEAKS], PEAKS, axis=0))
        graph.output.append(helper.make_tensor_value_info(PEAKS, TensorProto.FLOAT, [len(peaks)]))
        start, end = _constant(graph, "masklet_start", [0]), _constant(graph, "masklet_end", [2**62])
        for name, stride in strides.items():
            row, sample = f"{name}_row", _sample_name(name)
            cut = [row, start, end, "", _constant(graph, f"masklet_stride_{stride}", [stride])]
            graph.node.append(helper.make_node("Reshape", [name, flat], [row], row))
            graph.node.append(helper.make_node("Slice", cut, [sample], sample))
            graph.output.append(helper.make_tensor_value_info(sample, TensorProto.FLOAT, ["n"]))
        return model

    def _opened(self, model: onnx.ModelProto) -> Any:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if self._threads is not None:
            options.intra_op_num_threads = self._threads
        options.add_session_config_entry(WEIGHTS_FOLDER, str(self._path.parent))
        try:
            return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            raise SessionError(f"stage {self._spec.name!r}: {self._path} cannot be watched: {error}") from error

    def _first_not_finite(self, feeds: Feeds) -> str:
        """Look at every tensor in the order of the graph for the first that is not finite."""
        model = _copy(self._model)
        have = {output.name for output in model.graph.output}
        for name in self._tensors:
            if name not in have and name not in feeds:
                model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        inside = [name for name in self._tensors if name not in feeds]
        found = {**feeds, **dict(zip(inside, self._opened(model).run(inside, dict(feeds)), strict=True))}
        first = next((name for name in self._tensors if not np.isfinite(found[name]).all()), "an output")
        return (
            f"stage {self._spec.name!r}, tensor {first!r}: holds numbers that are not finite; nothing can be "
            "calibrated on them: check the checkpoint with `masklet verify`"
        )


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _sample_name(tensor: str) -> str:
    return f"{tensor}_sample"


def _constant(graph: onnx.GraphProto, name: str, value: list[int]) -> str:
    if all(tensor.name != name for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    return name


def _unsqueezed(graph: onnx.GraphProto, name: str, axis: str) -> str:
    graph.node.append(helper.make_node("Unsqueeze", [name, axis], [f"{name}_1"], f"{name}_1"))
    return f"{name}_1"
