"""The command `masklet build`: estimates memory, builds engines one by one, and adds them to the bundle."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from masklet.export.engines.build import BuildOptions, Engine, build_engine, check_options
from masklet.export.engines.plan import StagePlan, Target, choose_target, estimate_memory, plan_stages
from masklet.export.engines.preflight import MOST, USUAL, Preflight
from masklet.export.engines.progress import Steps
from masklet.runtime.backends.gpu.cuda import open_cuda
from masklet.runtime.backends.gpu.cuda.protocol import DeviceFacts
from masklet.runtime.backends.trt.backend import TensorRt
from masklet.runtime.backends.trt.engine_choice import choose_engine
from masklet.runtime.backends.trt.fingerprint import Fingerprint, engines, machine_fingerprint
from masklet.runtime.backends.trt.library import Backend, load_library, version_of
from masklet.runtime.bundle.add_engines import amend_bundle
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.errors import ExportError, SessionError
from masklet.runtime.sinks.output_file import check_writable
from masklet.runtime.startup.engine_check import REMEDY, check_engines
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What to build.

    device:  name or file of a device profile; None for that of this machine's GPU, or for any device.
    stages:  the stages to build; all if empty.
    force:   also build engines that are up to date, or estimated not to fit.
    dry_run: only estimate memory.
    """

    bundle: BundleChoice
    backend: Backend
    device: str | None
    stages: tuple[str, ...]
    options: BuildOptions
    force: bool = False
    dry_run: bool = False


def run_build(request: BuildRequest) -> None:
    """Build the engines of a bundle. If one cannot be built, the bundle is unchanged."""
    check_options(request.options, request.backend)
    if request.options.timing_cache is not None:
        check_writable(request.options.timing_cache)
    bundle = request.bundle.load()
    library = load_library(request.backend)
    target = choose_target(library, request.backend, request.device, _gpu(request), request.options)
    plans = plan_stages(bundle, request.stages, target)
    console, out = Console(stderr=True), Console()
    estimate = estimate_memory(bundle, plans, target)
    out.print(_estimate_line(target, estimate), highlight=False, soft_wrap=True)
    if request.dry_run:
        return
    if not estimate.fits and not request.force:
        raise ExportError(f"{bundle.root}: {target.device_name}: {estimate.verdict}; --force builds in any case")
    due = [plan for plan in plans if request.force or not _is_there(bundle, plan, request.backend)]
    if due:
        out.print(_table(due, _build_all(bundle, due, target, console)))
    if len(due) < len(plans):
        out.print(f"{len(plans) - len(due)} of {len(plans)} engines are up to date", highlight=False)


def _build_all(bundle: Bundle, plans: Sequence[StagePlan], target: Target, console: Console) -> list[Engine]:
    built: list[Engine] = []
    names: list[str] = []
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with amend_bundle(bundle) as amendment, Progress(*columns, console=console, transient=True) as bar:
        for plan in plans:
            steps, graph = _drawn(bar, plan.stage.name), bundle.path(plan.graph)
            engine = build_engine(
                target.library, target.backend, plan.stage, graph, plan.profiles, target.options, steps
            )
            artifact, files = _packed(plan, engine, target)
            amendment.put(artifact, files)
            built.append(engine)
            names.append(next(iter(files)))
        made = amendment.preview()
        if _runs_here(made, target):
            bar.add_task("comparing engines with graphs", total=None)
            amendment.say({"check": _checked(made, target.backend)}, names)
    return built


def _runs_here(bundle: Bundle, target: Target) -> bool:
    """Whether every stage has an engine for this machine; there may be engines for other machines as well."""
    if target.gpu is None:
        return False
    here = machine_fingerprint(version_of(target.library), target.gpu)
    try:
        for stage in bundle.model.stages:
            choose_engine(bundle, stage.name, target.backend, here)
    except SessionError:
        return False
    return True


def _checked(bundle: Bundle, backend: Backend) -> str:
    """Run the engines of a bundle. Raises ExportError if their masks differ from those of the graphs."""
    check = check_engines(bundle, TensorRt(backend))
    if not check.passed:
        raise ExportError(f"the engines differ from their graphs: {check}; {REMEDY}")
    return str(check)


def _packed(plan: StagePlan, engine: Engine, target: Target) -> tuple[Artifact, dict[str, bytes]]:
    """An engine as an artifact of the bundle, and its files: the engine, and a description of its layers."""
    graph = Path(plan.graph.files[0].path).stem  # the stage, and which variant of the model where there are several
    name = f"engines/{target.backend}/{target.device_name}/{graph}"
    layers = {
        "from": engine.layers_from,
        "activation_bytes": dict(zip([p.name for p in plan.profiles], engine.activations, strict=False)),
        "layers": engine.layers,
    }
    files = {
        f"{name}.engine": engine.plan,
        f"{name}.layers.json": msgspec.json.format(msgspec.json.encode(layers), indent=1),
    }
    built_for = plan.fingerprint.before_its_check().entries()
    return Artifact(plan.stage.name, target.backend, plan.graph.precision, (), built_for), files


def _is_there(bundle: Bundle, plan: StagePlan, backend: Backend) -> bool:
    """Whether the bundle has this engine, with any driver version."""
    there = map(Fingerprint.of, engines(bundle, plan.stage.name, backend))
    return any(structs.replace(built, driver=plan.fingerprint.driver, check="") == plan.fingerprint for built in there)


def _gpu(request: BuildRequest) -> DeviceFacts | None:
    """The GPU that engines are built for; None for TensorRT for RTX, whose engines are for several GPUs.

    Raises ExportError if a GPU is needed and there is none.
    """
    rtx, options = request.backend == "tensorrt-rtx", request.options
    if rtx and not (options.refit or options.strip_weights):
        return None
    try:
        cuda = open_cuda()
    except SessionError as error:
        if rtx:
            raise ExportError(
                "--refit and --strip-weights need a GPU during the build, also with TensorRT for RTX, which compiles "
                f"such engines at once: {error}; without these options it builds anywhere"
            ) from None
        raise ExportError(
            f"TensorRT builds on the GPU that the engine is for: {error}. TensorRT for RTX builds anywhere: "
            "--backend tensorrt-rtx"
        ) from None
    facts = cuda.facts
    cuda.close()
    return None if rtx else facts


def _drawn(bar: Progress, stage: str) -> Steps:
    task = bar.add_task(stage, total=None)

    def steps(phase: str, done: int, total: int) -> None:
        bar.update(task, description=f"{stage}: {phase.lower()}", completed=done, total=total)

    return steps


def _estimate_line(target: Target, estimate: Preflight) -> str:
    limit = "" if estimate.limit is None else f" of {estimate.limit / 1e9:.1f} GB"
    return (
        f"{target.backend} {version_of(target.library)} for {target.device.name}: estimated memory to build "
        f"{estimate.build / 1e9:.1f} GB, to run {estimate.run[USUAL] / 1e9:.1f} GB, "
        f"at most {estimate.run[MOST] / 1e9:.1f} GB"
        f"{limit}: {estimate.verdict}"
    )


def _sizes(plan: StagePlan) -> str:
    return ", ".join(f"{symbol} {few}-{most}" for symbol, (few, _, most) in plan.profiles[-1].sizes.items()) or "fixed"


def _table(plans: Sequence[StagePlan], built: Sequence[Engine]) -> Table:
    table = Table("stage", "precision", "sizes")
    table.columns[0].no_wrap = True
    for name in ("layers", "MB", "activations, MB", "s"):
        table.add_column(name, justify="right")
    for plan, engine in zip(plans, built, strict=True):
        activations = " / ".join(f"{count / 1e6:.0f}" for count in engine.activations)
        table.add_row(
            plan.stage.name,
            plan.graph.precision,
            _sizes(plan),
            str(len(engine.layers)),
            f"{len(engine.plan) / 1e6:.1f}",
            activations,
            f"{engine.seconds:.1f}",
        )
    return table
