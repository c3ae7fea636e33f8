"""Plans a build: for each stage the graph, the shapes and the fingerprint of the engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from masklet.export.engines.build import BuildOptions, compute_capability_of
from masklet.export.engines.device_profile import DeviceProfile, device_profile, profile_for_gpu
from masklet.export.engines.memory import StageMemory, activation_bytes
from masklet.export.engines.network import parse
from masklet.export.engines.preflight import Preflight, preflight
from masklet.export.engines.shapes import OptimizationProfile, optimization_profiles
from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.backends.trt.fingerprint import Fingerprint, machine_fingerprint
from masklet.runtime.backends.trt.library import Backend, TensorRT, version_of
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, graph_hash
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import BundleError

ANY_DEVICE = "any"


@dataclass(frozen=True)
class Target:
    """The target of a build. gpu: the GPU of this machine if engines are built for it, otherwise None."""

    library: TensorRT
    backend: Backend
    device_name: str
    device: DeviceProfile
    gpu: DeviceFacts | None
    options: BuildOptions


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One engine to build: its graph, its shapes and its fingerprint."""

    stage: StageSpec
    graph: Artifact
    profiles: tuple[OptimizationProfile, ...]
    fingerprint: Fingerprint


def choose_target(
    library: TensorRT, backend: Backend, device: str | None, gpu: DeviceFacts | None, options: BuildOptions
) -> Target:
    """Complete the options from the given device profile, or from that of this machine's GPU."""
    if device is not None:
        name, profile = Path(device).stem, device_profile(device)
    else:
        found = None if gpu is None else profile_for_gpu(gpu.name, gpu.memory_bytes >> 20)
        name, profile = found or (ANY_DEVICE, DeviceProfile())
    options = msgspec.structs.replace(
        options,
        workspace_mb=options.workspace_mb or profile.workspace_mb,
        compute_capabilities=options.compute_capabilities or _architectures(backend, profile),
    )
    return Target(library, backend, name, profile, gpu, options)


def plan_stages(bundle: Bundle, names: Sequence[str], target: Target) -> list[StagePlan]:
    """Plan the named stages, or all. Raises BundleError for a stage without a graph, SpecError for an unknown one."""
    stages = [bundle.model.stage(name) for name in names] if names else bundle.model.stages
    return [_plan(bundle, stage, target) for stage in stages]


def choose_graph(bundle: Bundle, stage: str, device: DeviceProfile) -> Artifact:
    """The graph of a stage in the precision of the device profile, otherwise in the highest that the bundle has."""
    graphs = {a.precision: a for a in bundle.manifest.artifacts if a.stage == stage and a.format == "onnx"}
    if not graphs:
        raise BundleError(f"{bundle.root}: stage {stage!r} has no graph of standard operators; export the model again")
    for precision in (device.precision_of(stage), Precision.FP32, Precision.FP16):
        if precision in graphs:
            return graphs[precision]
    return next(iter(graphs.values()))


def estimate_memory(bundle: Bundle, plans: Sequence[StagePlan], target: Target) -> Preflight:
    """Estimate the memory of engines from their networks."""
    return preflight(bundle.model, [stage_memory(bundle, plan, target.library) for plan in plans], target.device)


def stage_memory(bundle: Bundle, plan: StagePlan, library: TensorRT) -> StageMemory:
    """Estimate the memory of the engine of one stage."""
    usual, most = (parse(library, plan.stage, bundle.path(plan.graph)) for _ in range(2))
    shapes = plan.profiles[-1].shapes
    return StageMemory(
        sum(file.bytes for file in plan.graph.files),
        (
            activation_bytes(usual, {name: of[1] for name, of in shapes.items()}),
            activation_bytes(most, {name: of[2] for name, of in shapes.items()}),
        ),
    )


def _architectures(backend: Backend, profile: DeviceProfile) -> tuple[str, ...]:
    named = backend == "tensorrt-rtx" and profile.compute_capability is not None
    return (str(profile.compute_capability),) if named else ()


def _plan(bundle: Bundle, stage: StageSpec, target: Target) -> StagePlan:
    graph = choose_graph(bundle, stage.name, target.device)
    profiles = optimization_profiles(bundle.model, stage, target.device)
    here = machine_fingerprint(version_of(target.library), target.gpu)
    fingerprint = msgspec.structs.replace(
        here,
        device=target.device_name,
        graph=graph_hash(graph),
        compute_capability=compute_capability_of(target.options, target.backend, here.compute_capability),
        profiles="; ".join(map(str, profiles)),
        flags=str(target.options),
    )
    return StagePlan(stage, graph, profiles, fingerprint)
