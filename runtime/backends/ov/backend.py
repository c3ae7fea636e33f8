"""The backend: which device, which precision, how many threads."""

import os
from pathlib import Path
from typing import Any, Literal

import msgspec
from masklet.runtime.backends.ov.graph import StageGraph
from masklet.runtime.backends.ov.library import (
    check_device,
    computes_in,
    device_name,
    load_openvino,
    openvino_version,
)
from masklet.runtime.backends.ov.model_cache import model_cache
from masklet.runtime.backends.ov.session import OpenVinoSession
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, graph_hash
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import SessionError

Hint = Literal["f32", "bf16", "f16"]


class OpenVino:
    """Opens stages on OpenVINO, from the graphs with standard operators.

    threads: of each stage on the CPU; the cores that this process may use where None.
    device:  CPU, GPU, GPU.1, NPU, AUTO.
    hint:    what products are computed in: f32, which is exact, bf16 or f16. Of a bundle for which a lower precision is
             proved, stages that were left at FP32 are computed in f32.
    Raises SessionError where OpenVINO is not installed, or the device is not there or does not compute so.
    """

    formats: tuple[str, ...] = ("onnx",)

    def __init__(self, threads: int | None = None, *, device: str = "CPU", hint: Hint = "f32") -> None:
        self._core: Any = load_openvino().Core()
        check_device(self._core, device)
        if hint not in computes_in(self._core, device):
            here = ", ".join(computes_in(self._core, device))
            raise SessionError(
                f"--precision-hint {hint}: {device_name(self._core, device)} computes in {here}; choose one of these"
            )
        self._device, self._hint = device, hint
        self._threads = threads or _cores()
        self.ran_on: dict[str, str] = {}
        # On the CPU f32 is exact, and what is lower is proved; elsewhere drivers take part.
        self.engine_machine = None if device == "CPU" else f"{self}, {device_name(self._core, device)}, {hint}"

    def __str__(self) -> str:
        """Itself, and where it runs."""
        return f"OpenVINO {openvino_version()} on {self._device}"

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        """The graph, at the precision that it is computed in: a graph of FP32 in bf16 is bf16, of INT8 int8-bf16."""
        graph = self._graph(bundle, stage)
        return msgspec.structs.replace(
            graph, precision=computed_precision(graph.precision, self._hint_of(bundle, graph))
        )

    def open(self, bundle: Bundle, stage: StageSpec) -> OpenVinoSession:
        graph = self._graph(bundle, stage)
        hint, machine = self._hint_of(bundle, graph), device_name(self._core, self._device)
        cache = model_cache(graph_hash(graph), openvino_version(), self._device, hint, machine)
        session = self._open(bundle.path(graph), stage, hint, cache)
        precision = computed_precision(graph.precision, hint)
        proved = bundle.manifest.proves(stage.name, precision)
        advice = f" (not proved for this bundle; masklet calibrate --precision {precision})"
        self.ran_on[stage.name] = f"{self}, {precision}{'' if proved else advice}"
        return session

    def open_graph(self, path: Path, stage: StageSpec, cache: Path | None = None) -> OpenVinoSession:
        """Open a graph of a stage under the hint. cache: where its compiled models are kept on disk."""
        return self._open(path, stage, self._hint, cache)

    def _open(self, path: Path, stage: StageSpec, hint: Hint, cache: Path | None) -> OpenVinoSession:
        return OpenVinoSession(
            stage, StageGraph(stage, path, self._core, self._device, self._config(stage, hint), cache)
        )

    def _graph(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        return bundle.artifact(stage.name, self.formats)

    def _hint_of(self, bundle: Bundle, graph: Artifact) -> Hint:
        """The hint for a stage: a proof decides, where there is one for any stage."""
        low = {stage.name: computed_precision(graph.precision, self._hint) for stage in bundle.model.stages}
        any_proved = any(bundle.manifest.proves(stage, precision) for stage, precision in low.items())
        return "f32" if any_proved and not bundle.manifest.proves(graph.stage, low[graph.stage]) else self._hint

    def _config(self, stage: StageSpec, hint: Hint) -> dict[str, Any]:
        config: dict[str, Any] = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
        if self._device != "CPU":
            return config
        config |= {
            "INFERENCE_NUM_THREADS": self._threads,
            "ENABLE_HYPER_THREADING": True,  # or it takes fewer than it was asked for
            "ENABLE_CPU_PINNING": False,  # or two processes take turns on the same cores
        }
        # Attention that is fused into one kernel pays where there are many heads and windows, as in encoders; with one
        # object and eight tokens there is too little to deal out. And with one thread in bf16 a chain of three Gemms
        # crashes the compiler of OpenVINO 2026.4.
        if stage.symbols() or self._threads == 1:
            config["SNIPPETS_MODE"] = "DISABLE"
        return config


def computed_precision(graph: Precision, hint: Hint) -> Precision:
    """The precision of a graph that is computed under a hint."""
    if hint == "f32":
        return graph
    if hint == "f16":
        return Precision.INT8_FP16 if graph.int8_layers else Precision.FP16
    return Precision.INT8_BF16 if graph.int8_layers else Precision.BF16


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
