"""What `masklet annotate` does: an annotation behind a page, until Ctrl-C."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from masklet.runtime.annotation.annotation import Annotation
from masklet.runtime.annotation.clip import Clip
from masklet.runtime.annotation.truth import Agreement
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.masks.masks_by_frame import open_masks
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.tracking.known_policies import policy_of
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from masklet.runtime.view.opening import open_annotation_view


@dataclass(frozen=True, slots=True)
class AnnotationRequest:
    """What to annotate.

    spec: of the clip. cut: which frames, as `open_source` takes them. folder: where it is saved. truth: true masks,
    None without. port: [HOST:]PORT of the page.
    """

    spec: str
    cut: Mapping[str, Any]
    folder: Path
    truth: Path | None
    port: str


def annotate_clip(
    bundle: BundleChoice, request: AnnotationRequest, backend: BackendChoice, memory: str | None, limits: MemoryLimits
) -> None:
    """Serve the page of a clip until Ctrl-C, then save. memory, limits: what is remembered of each object."""
    model = bundle.load()
    policy_of(model.model, memory)
    times = StageTimes()
    with ExitStack() as stack:
        clip, shown = (stack.enter_context(Clip(request.spec, request.cut)) for _ in range(2))
        width, height = clip.size
        agreement = None if request.truth is None else Agreement(open_masks(request.truth), (height, width))
        view = stack.enter_context(open_annotation_view("--port", request.port, times))
        sessions, _ = backend.open(model, lambda line: typer.echo(line, err=True), times.wrap)
        stack.enter_context(sessions)
        options = TrackerOptions(limits=limits)
        annotation = Annotation(clip, lambda: VideoTracker(sessions, options, memory), request.folder)
        view.begin(annotation, shown, agreement, f"{model.model.family}/{model.model.variant}", backend.name)
        typer.echo(f"{clip.name}: {len(clip.indices)} frames, saved in {request.folder}; Ctrl-C ends it", err=True)
        typer.echo(view.private_url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo(f"saved in {request.folder}", err=True)
