"""What `masklet archive` does: lists videos, leaves out what is finished, runs the rest, and writes the summary."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import typer
from masklet.runtime.archive.archive import Archive
from masklet.runtime.archive.cluster import Resources, cluster
from masklet.runtime.archive.estimate import estimate
from masklet.runtime.archive.listing import list_videos
from masklet.runtime.archive.plan import ArchivePlan, Format, seal_of
from masklet.runtime.archive.progress import SUMMARY, Progress, write_summary
from masklet.runtime.archive.segments import Splitting
from masklet.runtime.archive.store import store_at
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.cli.tuned_options import Tunable, in_words
from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
from masklet.runtime.tracking.known_policies import policy_of
from masklet.runtime.tracking.memory_detail import block_memory
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.update_interval import check_update_interval
from masklet.runtime.tracking.video_tracker import TrackerOptions
from rich.console import Console
from rich.status import Status

SOME_FAILED = 3  # exit code


@dataclass(frozen=True, slots=True)
class ArchiveOrder:
    """What was typed. common: what to track in videos for which a manifest names nothing."""

    bundle: BundleChoice
    sources: Sequence[str]
    common: TrackingRequest
    backend: BackendChoice
    cut: Mapping[str, Any]
    memory: str | None
    limits: MemoryLimits
    update_interval: int | None
    untuned: bool
    out: str
    wanted: Resources
    retries: int
    format: Format
    overlay: bool
    split: Splitting | None
    dry_run: bool


def archive_videos(order: ArchiveOrder) -> int:
    """Run the archive. Returns the exit code: 0, or 3 if videos failed. Raises MaskletError for everything else."""
    bundle = order.bundle.load()
    console = Console(stderr=True)
    best = _tuned(order, bundle, partial(_tell, console))
    videos = list_videos(order.sources, replace(order.common, found_with=best.found_with))
    plan = _plan(order, bundle, best)
    _check(order, plan, bundle, videos)
    if order.dry_run:
        _say_estimate(plan, bundle, videos, order.wanted.workers)
        return 0
    with plan.out.held():
        return _run_rest(order, plan, videos, console)


def _run_rest(order: ArchiveOrder, plan: ArchivePlan, videos: Sequence[ArchiveVideo], console: Console) -> int:
    """Run the videos that are not finished, and write the summary. Returns the exit code."""
    tell = partial(_tell, console)
    finished = plan.all_finished(videos)
    rest = [video for video in videos if video.name not in finished]
    if not rest:
        tell(f"all {len(videos)} videos were finished before; nothing is left to do")
        write_summary(plan.out, videos, {})
        return 0
    with console.status("", spinner="dots") as status:
        progress = Progress(len(rest), len(videos) - len(rest), tell, _line_of(status, console))
        try:
            _run(order, plan, rest, progress)
        finally:
            write_summary(plan.out, videos, progress.failures)
    tell(f"{progress.line}; {plan.out}/{SUMMARY}")
    return SOME_FAILED if progress.failures else 0


def _tuned(order: ArchiveOrder, bundle: Bundle, tell: Callable[[str], None]) -> Tunable:
    """The settings of a tuned bundle where nothing was given; a worker's threads are those of its cores."""
    backend = replace(order.backend, threads=order.backend.threads or order.wanted.cpus)
    given = Tunable(order.limits, order.update_interval, order.common.found_with, backend)
    tuning = bundle.manifest.tuning
    if tuning is None or order.untuned:
        return given
    tell(in_words(tuning))
    return given.tuned(tuning.settings, prompted=True)


def _plan(order: ArchiveOrder, bundle: Bundle, best: Tunable) -> ArchivePlan:
    root = bundle.root.resolve()
    return ArchivePlan(
        replace(order.bundle, root=root),
        seal_of(root),
        best.backend,
        order.cut,
        store_at(order.out),
        order.format,
        order.overlay,
        order.memory,
        TrackerOptions(limits=best.limits, update_interval=best.update_interval or 1),
        order.split,
    )


def _check(order: ArchiveOrder, plan: ArchivePlan, bundle: Bundle, videos: Sequence[ArchiveVideo]) -> None:
    """Raise MaskletError, before anything is opened, for what contradicts the model or other options."""
    check_update_interval(plan.tracking.update_interval, policy_of(bundle.model, plan.memory))
    block_memory(bundle.model, (plan.tracking.limits or MemoryLimits()).detail)
    if plan.split is not None and plan.overlay:
        raise SinkError("--overlay is drawn frame by frame as a video is tracked; with --segment leave it out")
    for video in videos:
        video.request.check_model(bundle)
        if video.request.concepts and (order.update_interval or 1) > 1:
            raise PromptError(f"{video.source}: --update-interval is for prompted objects; with --text leave it out")
        if plan.split is not None:
            plan.split.check(video)


def _run(order: ArchiveOrder, plan: ArchivePlan, videos: Sequence[ArchiveVideo], progress: Progress) -> None:
    few = order.wanted.workers if plan.split is not None else min(order.wanted.workers, len(videos))
    wanted = replace(order.wanted, workers=few)
    with cluster(wanted) as ray:
        Archive(ray, plan, wanted, order.retries, progress).run(videos)


def _tell(console: Console, line: str) -> None:
    console.print(f"masklet: {line}", highlight=False, markup=False, soft_wrap=True)


def _line_of(status: Status, console: Console) -> Any:
    return status.update if console.is_terminal else None


def _say_estimate(plan: ArchivePlan, bundle: Bundle, videos: Sequence[ArchiveVideo], workers: int) -> None:
    with plan.backend.sessions(bundle, lambda line: None) as sessions:
        found = estimate(plan, sessions, videos)
    typer.echo(
        f"{found.videos} videos, {found.frames} frames, {found.seconds_per_frame * 1e3:.1f} ms and "
        f"{found.bytes_per_frame / 1e3:.2f} kB each: {found.hours(workers):.2f} hours on {workers} workers like this "
        f"one, {found.bytes / 1e9:.3f} GB"
    )
    if found.unread:
        typer.echo(f"{found.unread} videos were not opened; they count like the mean of the others")
