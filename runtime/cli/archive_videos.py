"""What `masklet archive` does: lists videos, leaves out what is finished, runs the rest, and writes the summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer
from masklet.runtime.archive.archive import Archive
from masklet.runtime.archive.cluster import Resources, cluster
from masklet.runtime.archive.estimate import estimate
from masklet.runtime.archive.listing import list_videos
from masklet.runtime.archive.plan import ArchivePlan, Format, seal_of
from masklet.runtime.archive.progress import SUMMARY, Progress, write_summary
from masklet.runtime.archive.result_set import prepare_folder, read_result, sweep
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
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
    out: Path
    ray: str | None
    workers: int
    cpus: int
    gpus: float
    retries: int
    format: Format
    overlay: bool
    dry_run: bool


def archive_videos(order: ArchiveOrder) -> int:
    """Run the archive. Returns the exit code: 0, or 3 if videos failed. Raises MaskletError for everything else."""
    bundle = order.bundle.load()
    videos = list_videos(order.sources, order.common)
    for video in videos:
        video.request.check_model(bundle)
    plan = _plan(order, bundle)
    if order.dry_run:
        _say_estimate(plan, bundle, videos, order.workers)
        return 0
    prepare_folder(plan.out)
    rest = [video for video in videos if not _is_finished(plan, video)]
    console = Console(stderr=True)

    def tell(line: str) -> None:
        console.print(f"masklet: {line}", highlight=False, markup=False, soft_wrap=True)

    if bundle.manifest.tuning is not None:
        tell("the bundle is tuned; an archive leaves its settings out, as `masklet run --untuned` does")
    if not rest:
        tell(f"all {len(videos)} videos were finished before; nothing is left to do")
        write_summary(plan.out, videos, {})
        return 0
    with console.status("", spinner="dots") as status:
        progress = Progress(len(rest), len(videos) - len(rest), tell, _line_of(status, console))
        try:
            _run(order, plan, rest, progress)
        finally:
            sweep(plan.out)
            write_summary(plan.out, videos, progress.failures)
    tell(f"{progress.line}; {plan.out / SUMMARY}")
    return SOME_FAILED if progress.failures else 0


def _plan(order: ArchiveOrder, bundle: Bundle) -> ArchivePlan:
    root, out = bundle.root.resolve(), order.out.resolve()
    backend = replace(order.backend, threads=order.backend.threads or order.cpus)
    choice = replace(order.bundle, root=root)
    return ArchivePlan(choice, seal_of(root), backend, order.cut, out, order.format, order.overlay)


def _run(order: ArchiveOrder, plan: ArchivePlan, videos: Sequence[ArchiveVideo], progress: Progress) -> None:
    wanted = Resources(min(order.workers, len(videos)), order.cpus, order.gpus, order.ray)
    with cluster(wanted) as ray:
        Archive(ray, plan, wanted, order.retries, progress).run(videos)


def _is_finished(plan: ArchivePlan, video: ArchiveVideo) -> bool:
    result = read_result(plan.out, video.name)
    return result is not None and result.digest == plan.digest(video)


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
