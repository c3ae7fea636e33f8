"""ONNX Runtime's execution providers: which to ask for, with which options, and which of them ran what in the end."""

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from masklet.runtime.backends.user_cache import cache_folder
from masklet.runtime.bundle.manifest import Artifact, graph_hash
from masklet.runtime.errors import SessionError

Provider = Literal["cpu", "cuda", "tensorrt"]
NAMES: dict[str, str] = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
FALLBACKS: dict[str, tuple[Provider, ...]] = {
    "cuda": ("cuda", "cpu"),
    "tensorrt": ("tensorrt", "cuda", "cpu"),
}
# ONNX Runtime leaves arithmetic on shapes to the CPU for good reason; these operators are not that.
HEAVY = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "MultiHeadAttention", "LayerNormalization", "Softmax"})
RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"


def requested(provider: Provider, artifact: Artifact, stream: int) -> list[tuple[str, dict[str, str]]]:
    """The providers to open a stage with on a GPU, the wanted one first, each with its options.

    stream: of CUDA, that everything is to run on.
    """
    on_stream = {"user_compute_stream": str(stream)}
    options: dict[str, dict[str, str]] = {
        "cpu": {},
        "cuda": {**on_stream, "use_tf32": "0"},
        "tensorrt": {
            **on_stream,
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(engine_cache()),
            # one graph's name with another's shapes would find the wrong engine (microsoft/onnxruntime#32254)
            "trt_engine_cache_prefix": f"{artifact.stage}-{graph_hash(artifact)[:16]}",
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(engine_cache()),
            "trt_fp16_enable": "0",  # precision lives in the graph
        },
    }
    return [(NAMES[name], options[name]) for name in FALLBACKS[provider]]


def engine_cache() -> Path:
    """Where ONNX Runtime keeps the engines that it builds, and what it timed."""
    return cache_folder("onnxruntime-tensorrt")


def make_engine_cache() -> None:
    """Make the folder. Raises SessionError where that cannot be."""
    try:
        engine_cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SessionError(
            f"{engine_cache()}: TensorRT's engines cannot be kept there: {error.strerror}; "
            "set XDG_CACHE_HOME to a folder that can be written"
        ) from None


class Placement:
    """Which provider runs how many nodes of a stage.

    session: opened with RECORD_ASSIGNMENT.
    """

    def __init__(self, session: Any) -> None:
        self._nodes: Counter[str] = Counter()
        self._heavy: Counter[str] = Counter()
        for part in session.get_provider_graph_assignment_info():
            nodes = part.get_nodes()
            self._nodes[part.ep_name] += len(nodes)
            self._heavy[part.ep_name] += sum(node.op_type in HEAVY for node in nodes)

    def falls_back(self, provider: Provider) -> str | None:
        """What of a stage's real work another provider runs than the wanted one; None for nothing."""
        others = {name: count for name, count in self._heavy.items() if name != NAMES[provider] and count}
        if others:
            return ", ".join(f"{count} of {self._heavy.total()} products on {_short(n)}" for n, count in others.items())
        return None if self._nodes[NAMES[provider]] else f"no node on {_short(NAMES[provider])}"

    def __str__(self) -> str:
        """`CUDA`, or `CUDA 310 nodes, CPU 12`."""
        if len(self._nodes) == 1:
            return _short(next(iter(self._nodes)))
        return ", ".join(f"{_short(name)} {count} nodes" for name, count in self._nodes.most_common())


def first_line(error: Exception) -> str:
    """The first line of what ONNX Runtime says, or its kind where it says nothing."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _short(name: str) -> str:
    return "TensorRT" if name == NAMES["tensorrt"] else name.removesuffix("ExecutionProvider")
