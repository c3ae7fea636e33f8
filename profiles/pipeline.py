"""Runs the ordinary pipeline over a source, records it and makes a report: what `masklet profile` does."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import msgspec
from masklet.profiles.machine.cpu_peaks import measure
from masklet.profiles.machine.device import conditions, device
from masklet.profiles.machine.sampler import Sampler
from masklet.profiles.model.graph_cost import graph_cost
from masklet.profiles.model.growth import Growth, Sweep, check_sweep, grow
from masklet.profiles.model.roofline import Roofline, roofline, usual_sizes
from masklet.profiles.recording.operators import LastFeeds, StageOperators, time_operators
from masklet.profiles.recording.synchronized_session import AwaitedSession
from masklet.profiles.recording.timeline import FrameTimes, Recorder, peak_resident_bytes
from masklet.profiles.report.report import BundleFacts, Measured, Memory, Report, SourceFacts, measurements
from masklet.runtime.backends.session import Backend, Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import MANIFEST
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.errors import MaskletError, PromptError
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import Source
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
from masklet.runtime.streams.follow import follow
from masklet.runtime.tracking.video_tracker import VideoTracker

IMAGE_WARMUP = 3  # warm-up frames of a model without memory
Progress = Callable[[str, int, int | None], None]  # called with a description, frames done, total frames


@dataclass(frozen=True, slots=True)
class ProfileRequest:
    """What to profile.

    wanted:  what to track. cut: which frames, as `open_source` takes them.
    backend: what runs the stages; on a GPU each is waited for before the next begins.
    warmup:  frames that are run and not measured; where None, until the memory bank is full and results come.
    sweep:   sizes to go through afterwards; None for no sweep.
    operators: the stage whose operators are timed afterwards; None for none.
    """

    source: str
    wanted: TrackingRequest
    outputs: Outputs
    cut: Mapping[str, Any]
    backend: BackendChoice
    warmup: int | None = None
    sweep: Sweep | None = None
    operators: str | None = None

    def wrap(self, recorder: Recorder) -> Callable[[Session], Session]:
        """The wrapper around every session."""
        return recorder.wrap if self.backend.on_cpu else lambda session: recorder.wrap(AwaitedSession(session))


@dataclass(frozen=True, slots=True)
class Profile:
    """A report, all recorded frames including warm-up, and whether Ctrl-C ended the run."""

    report: Report
    frames: list[FrameTimes]
    interrupted: bool


def profile(bundle: Bundle, request: ProfileRequest, progress: Progress, tell: Callable[[str], None]) -> Profile:
    """Profile a bundle. tell: called with a description of the backend.

    Raises MaskletError if the request cannot be fulfilled, before any work if possible.
    """
    model = bundle.model
    _check_wanted(request, bundle)
    warmup = default_warmup(model, request) if request.warmup is None else request.warmup
    recorder, before, last = Recorder(), conditions(), LastFeeds(request.operators)
    with open_source(request.source, **request.cut) as source:
        _check(request, source, warmup)
        sweep = request.sweep and check_sweep(request.sweep, model, source.frames)
        sessions, backend = request.backend.open(bundle, tell, lambda one: last.wrap(request.wrap(recorder)(one)))
        outputs = request.outputs.open(source.fps, request.wanted.schedule, began_ns=source.began_ns)
        with sessions, outputs as sinks, Sampler().start() as sampler:
            interrupted = _follow(request.wanted, sessions, recorder, source, sinks, progress)
        frames, size, name = recorder.frames_recorded, source.size, source.name  # the name has no password
        _check_measured(frames, warmup, source)
    after, memory = conditions(), _memory(frames[warmup:])
    growth = _sweep(bundle, request, sweep, progress) if sweep and not interrupted else None
    operators = _operators(bundle, request, last, backend) if request.operators and not interrupted else None
    found = measurements(frames[warmup:], [stage.name for stage in model.stages], sampler.began_ns)
    during = tuple(sampler.samples)
    report = Report(
        **msgspec.structs.asdict(found),
        device=Measured(**msgspec.structs.asdict(device()), before=before, after=after, during=during),
        bundle=bundle_facts(bundle, backend, request.backend.threads),
        source=SourceFacts(name, *size, _kinds(request.outputs)),
        warmup=warmup,
        frames=len(frames) - warmup,
        memory=memory,
        roofline=bundle_roofline(bundle, backend, frames[warmup:], request.backend),
        growth=growth,
        operators=operators,
    )
    return Profile(report, frames, interrupted)


def default_warmup(model: ModelSpec, request: ProfileRequest) -> int:
    """Number of frames until the memory bank is full and results come: earlier frames cost less."""
    full = model.memory.recent_frames + 1 if model.memory else IMAGE_WARMUP
    return max(full, request.wanted.found_with.delay) if request.wanted.concepts else full


def bundle_facts(bundle: Bundle, backend: Backend, threads: int | None) -> BundleFacts:
    """The artifacts of a bundle that run on a backend."""
    model = bundle.model
    return BundleFacts(
        family=model.family,
        variant=model.variant,
        side=model.preprocess.side,
        checkpoint=bundle.manifest.checkpoint.name,
        manifest_sha256=hashlib.sha256((bundle.root / MANIFEST).read_bytes()).hexdigest(),
        backend=str(backend),
        threads=threads,
        precision={stage.name: backend.artifact(bundle, stage).precision for stage in model.stages},
    )


def no_roofline(choice: BackendChoice) -> str | None:
    """Why there is no roofline for a backend; None if there is one."""
    if not choice.on_cpu:
        return "the peak performance can be measured for the CPU only"
    return None if find_spec("onnx") else "it needs the package onnx; pip install onnx"


def bundle_roofline(
    bundle: Bundle, backend: Backend, frames: Sequence[FrameTimes], choice: BackendChoice
) -> Roofline | None:
    """Compare the stages that ran with the roofline of this machine; None if there is none, see `no_roofline`."""
    if no_roofline(choice):
        return None
    used = {name: backend.artifact(bundle, bundle.model.stage(name)) for name in usual_sizes(frames)}
    bf16 = {name for name, artifact in used.items() if artifact.precision.bf16_tensors}
    costs = {
        name: graph_cost(bundle.path(used[name]), bundle.model.stage(name), sizes, bf16=name in bf16)
        for name, sizes in usual_sizes(frames).items()
    }
    return roofline(frames, costs, measure(choice.threads, bf16=bool(bf16)), bf16)


def _follow(
    wanted: TrackingRequest,
    sessions: Sessions,
    recorder: Recorder,
    source: Source,
    sinks: Sinks,
    progress: Progress,
) -> bool:
    """Run the pipeline to its end. Returns True if Ctrl-C ended it early. Phrases are encoded before the frames."""
    sink, tracker = recorder.sink(sinks), wanted.tracker(sessions)
    try:
        results = follow(tracker, recorder.frames(source), wanted.schedule)
        for done, (frame, result) in enumerate(results, start=1):
            sink.write(frame, result)
            progress("profiling", done, source.frames)
    except KeyboardInterrupt:
        return True
    return False


def _sweep(bundle: Bundle, request: ProfileRequest, sweep: Sweep, progress: Progress) -> Growth:
    """Run a sweep from the first prompted frame on, with its prompts."""
    schedule = request.wanted.schedule
    prompted = min(schedule)
    prompts = list(schedule[prompted].values())
    recorder = Recorder()
    with (
        open_source(request.source, **{**request.cut, "start": prompted}) as frames,
        request.backend.open(bundle, lambda line: None, request.wrap(recorder))[0] as sessions,
    ):

        def tracker() -> VideoTracker:
            progress("sweeping", len(recorder.frames_recorded), None)
            return VideoTracker(sessions)

        return grow(tracker, recorder, frames, prompts, sweep)


def _operators(bundle: Bundle, request: ProfileRequest, last: LastFeeds, backend: Backend) -> StageOperators:
    """Time the operators of a stage on the inputs of its last call."""
    stage = bundle.model.stage(last.stage or "")
    if last.feeds is None:
        raise MaskletError(f"--operators {stage.name}: this stage did not run on any frame")
    graph = bundle.path(backend.artifact(bundle, stage))
    return time_operators(stage, graph, last.feeds, request.backend.threads)


def _check_wanted(request: ProfileRequest, bundle: Bundle) -> None:
    """Refuse what cannot be tracked."""
    request.wanted.check_given()
    request.wanted.check_model(bundle)
    if request.wanted.concepts and request.sweep:
        raise PromptError("--sweep goes through numbers of prompted objects; leave it out with --text")
    if request.operators is not None:
        names = [stage.name for stage in bundle.model.stages]
        if request.operators not in names:
            raise MaskletError(f"--operators {request.operators}: the stages of this bundle are {', '.join(names)}")
        if request.backend.name != "onnxruntime" or not request.backend.on_cpu:
            raise MaskletError("--operators times what ONNX Runtime runs on the CPU; leave out the other backend")


def _check(request: ProfileRequest, source: Source, warmup: int) -> None:
    """Refuse a source that has too few frames to measure, if it knows their number."""
    request.wanted.check_source(source)
    request.outputs.check_folders()
    if source.frames is not None:
        _check_length(source.frames, warmup, source)


def _check_measured(frames: Sequence[FrameTimes], warmup: int, source: Source) -> None:
    if not frames:
        raise MaskletError(f"{source.name}: has no frame to measure")
    _check_length(len(frames), warmup, source)


def _check_length(frames: int, warmup: int, source: Source) -> None:
    if frames <= warmup:
        raise MaskletError(
            f"{source.name}: {frames} frames leave nothing to measure after {warmup} of warm-up; "
            "give a longer clip or a smaller --warmup"
        )


def _kinds(outputs: Outputs) -> str:
    """The kinds of outputs that were written, without their paths."""
    return ", ".join(outputs.targets) or "none"


def _memory(frames: Sequence[FrameTimes]) -> Memory:
    first, last = frames[0].rss_bytes, frames[-1].rss_bytes
    in_mb = [None if rss is None else rss / 1e6 for rss in (first, last)]
    return Memory(peak_resident_bytes() / 1e6, *in_mb)
