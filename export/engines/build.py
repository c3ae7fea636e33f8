"""Builds a serialized engine from the graph of one stage."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from masklet.export.engines.interrupt import held_back
from masklet.export.engines.layers import Layer, describe_layers
from masklet.export.engines.network import Network, parse
from masklet.export.engines.progress import Steps, progress_monitor
from masklet.export.engines.shapes import OptimizationProfile
from masklet.export.engines.timing_cache import keep_timing_cache, use_timing_cache
from masklet.runtime.backends.trt.fingerprint import ANY, BuildFlag
from masklet.runtime.backends.trt.library import Backend, TensorRT, version_of
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import ExportError

if TYPE_CHECKING:
    import tensorrt as trt

ACTIVATIONS = re.compile(r"Total Activation Memory: (\d+) bytes")
TACTIC = re.compile(r"Tactic Device request: (\d+)\s*MB Available: (\d+)\s*MB", re.IGNORECASE)
REQUEST = re.compile(r"(?:request\w*|allocat\w*)\D{0,60}?(\d{6,})", re.IGNORECASE)
OUT_OF_MEMORY = re.compile(r"out ?of ?memory|could not be allocated|within workspace limit", re.IGNORECASE)


class BuildOptions(msgspec.Struct, frozen=True):
    """How engines are built.

    workspace_mb:         scratch memory that an engine may use; None for all memory of the device.
    compute_capabilities: architectures that TensorRT for RTX builds for, such as "8.6"; its portable set if empty.
    hardware_compatible:  an engine for every GPU from Ampere on, somewhat slower.
    version_compatible:   an engine that later releases of the same major version can load with the lean runtime of
                          this release.
    refit:                weights can be replaced later.
    strip_weights:        weights are left out, and read from the graph when the engine is loaded.
    tf32:                 FP32 products may round their factors to 10 bits of mantissa, TensorRT's default.
    timing_cache:         file of measured tactics, read before and written after a build.
    """

    workspace_mb: int | None = None
    compute_capabilities: tuple[str, ...] = ()
    hardware_compatible: bool = False
    version_compatible: bool = False
    refit: bool = False
    strip_weights: bool = False
    tf32: bool = True
    timing_cache: Path | None = None

    def __str__(self) -> str:
        """The text of the fingerprint."""
        chosen = {
            BuildFlag.HARDWARE_COMPATIBLE: self.hardware_compatible,
            BuildFlag.VERSION_COMPATIBLE: self.version_compatible,
            "refit": self.refit,
            BuildFlag.STRIPPED: self.strip_weights,
            "tf32": self.tf32,
        }
        words = ["strongly typed", *(word for word, on in chosen.items() if on)]
        return ", ".join([*words, *([f"workspace {self.workspace_mb} MB"] if self.workspace_mb else [])])


def check_options(options: BuildOptions, backend: Backend) -> None:
    """Raise ExportError for options that this TensorRT does not have."""
    if backend == "tensorrt" and options.compute_capabilities:
        raise ExportError(
            "--compute-capability is for --backend tensorrt-rtx; TensorRT builds for the GPU of this machine, and with "
            "--hardware-compatible for every GPU from Ampere on"
        )
    if backend == "tensorrt-rtx" and options.hardware_compatible:
        raise ExportError(
            "--hardware-compatible is for --backend tensorrt; an engine of TensorRT for RTX is for every GPU of its "
            "compute capabilities (8.0 and later, or those of --device and --compute-capability)"
        )
    if backend == "tensorrt-rtx" and options.version_compatible:
        raise ExportError(
            "--version-compatible is for --backend tensorrt; only the release of TensorRT for RTX that built an engine "
            "can load it, so build again after an update"
        )


@dataclass(frozen=True, slots=True)
class Engine:
    """A built engine. activations: bytes for each optimisation profile, as reported by the builder."""

    plan: bytes
    layers: list[Layer]
    layers_from: str
    activations: tuple[int, ...]
    seconds: float


def build_engine(
    library: TensorRT,
    backend: Backend,
    stage: StageSpec,
    graph: Path,
    profiles: Sequence[OptimizationProfile],
    options: BuildOptions,
    steps: Steps,
) -> Engine:
    """Build the engine of a stage.

    steps: called with the progress of the build. Ctrl-C ends the build at its next step.
    Raises ExportError naming the stage, and the unsupported node, or the memory that ran out and what to reduce.
    """
    network = parse(library, stage, graph)
    config = _configure(network, backend, options)
    for wanted in profiles:
        profile = network.builder.create_optimization_profile()
        for name, shapes in wanted.shapes.items():
            profile.set_shape(name, *shapes)
        if config.add_optimization_profile(profile) < 0:
            raise ExportError(
                f"stage {stage.name!r}: TensorRT refuses the shapes {wanted}: {network.messages.first_error()}"
            )
    if options.timing_cache is not None:
        use_timing_cache(config, options.timing_cache)
    began_s = time.perf_counter()
    with held_back() as interrupted:
        progress_monitor(library, config, steps, interrupted)
        plan = network.builder.build_serialized_network(network.definition, config)
    seconds = time.perf_counter() - began_s
    if plan is None:
        raise ExportError(f"stage {stage.name!r}: {_failure(network, options)}")
    if options.timing_cache is not None:
        keep_timing_cache(config, options.timing_cache)
    layers, layers_from = describe_layers(library, plan, network.messages)
    activations = tuple(int(m[1]) for m in map(ACTIVATIONS.search, network.messages.verbose) if m)
    return Engine(bytes(plan), layers, layers_from, activations, seconds)


def _configure(network: Network, backend: Backend, options: BuildOptions) -> "trt.IBuilderConfig":
    library, config = network.library, network.builder.create_builder_config()
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    config.profiling_verbosity = library.ProfilingVerbosity.DETAILED
    flags = library.BuilderFlag
    chosen = {
        flags.REFIT: options.refit,
        flags.STRIP_PLAN: options.strip_weights,
        flags.VERSION_COMPATIBLE: options.version_compatible,
        flags.EXCLUDE_LEAN_RUNTIME: options.version_compatible,  # engines must not contain host code
    }
    for flag in (flag for flag, on in chosen.items() if on):
        config.set_flag(flag)
    if not options.tf32:
        config.clear_flag(flags.TF32)
    if options.hardware_compatible:
        config.hardware_compatibility_level = library.HardwareCompatibilityLevel.AMPERE_PLUS
    if backend == "tensorrt-rtx" and options.compute_capabilities:
        _set_architectures(library, config, options.compute_capabilities)
    return config


def _set_architectures(library: Any, config: Any, wanted: Sequence[str]) -> None:
    """Set the architectures for TensorRT for RTX; TensorRT itself builds for the GPU of this machine."""
    there = dict(library.ComputeCapability.__members__)
    config.num_compute_capabilities = len(wanted)
    for index, text in enumerate(wanted):
        name = "SM" + text.replace(".", "")
        if name not in there:
            known = ", ".join(f"{n[2:-1]}.{n[-1]}" for n in there if n.startswith("SM"))
            raise ExportError(
                f"TensorRT for RTX does not build for compute capability {text}, it builds for {known}; "
                "use --backend tensorrt on the device itself"
            )
        config.set_compute_capability(there[name], index)


def _failure(network: Network, options: BuildOptions) -> str:
    """Why a build failed; if memory ran out, how much a tactic needed."""
    said = [*network.messages.errors, *network.messages.verbose]
    tactic = next((found for found in map(TACTIC.search, said) if found), None)
    if tactic is None and not any(OUT_OF_MEMORY.search(message) for message in network.messages.errors):
        return f"TensorRT {version_of(network.library)} could not build it: {network.messages.first_error()}"
    if tactic is not None:
        wanted = f"a tactic needed {tactic[1]} MB and {tactic[2]} MB were free"
    else:
        request = next((found for found in map(REQUEST.search, network.messages.errors) if found), None)
        wanted = (
            f"{int(request[1]) / 1e6:.0f} MB were needed" if request else "TensorRT does not report how much it needed"
        )
    limit = f"raise --workspace-mb (it is {options.workspace_mb}), " if options.workspace_mb else ""
    return (
        f"out of memory while building: {wanted}; {limit}reduce the maximum objects or memories under [sizes] in your "
        "own device profile, or use a lower precision"
    )


def compute_capability_of(options: BuildOptions, backend: Backend, here: str) -> str:
    """The architectures that an engine is for, as text of the fingerprint. here: the one of this machine."""
    if backend == "tensorrt-rtx":
        return ", ".join(options.compute_capabilities) or "8.0+"
    return "8.0+" if options.hardware_compatible and here != ANY else here
