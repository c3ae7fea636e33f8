"""ONNX Runtime's execution providers: which to request, with which options, and which of them run each node."""

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
# Operators of real work; arithmetic on shapes, by contrast, belongs on the CPU.
HEAVY = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm", "MultiHeadAttention", "LayerNormalization", "Softmax"})
RECORD_ASSIGNMENT = "session.record_ep_graph_assignment_info"


def requested(provider: Provider, artifact: Artifact, stream: int) -> list[tuple[str, dict[str, str]]]:
    """The providers for a stage on a GPU, the requested one first, each with its options.

    stream: CUDA stream for all work.
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
            "trt_fp16_enable": "0",  # the graph defines the precision
        },
    }
    return [(NAMES[name], options[name]) for name in FALLBACKS[provider]]


def engine_cache() -> Path:
    """The folder in which ONNX Runtime caches engines and timings."""
    return cache_folder("onnxruntime-tensorrt")


def make_engine_cache() -> None:
    """Create the folder. Raises SessionError if that fails."""
    try:
        engine_cache().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SessionError(
            f"{engine_cache()}: TensorRT's engines cannot be cached there: {error.strerror}; "
            "set XDG_CACHE_HOME to a writable folder"
        ) from None


class Placement:
    """The number of nodes of a stage that each provider runs.

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
        """The heavy nodes of a stage that run on another provider than the requested one; None if there are none."""
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
    """The first line of ONNX Runtime's error message, or the type of the error if it has no message."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _short(name: str) -> str:
    return "TensorRT" if name == NAMES["tensorrt"] else name.removesuffix("ExecutionProvider")
