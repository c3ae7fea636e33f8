"""What `masklet annotate` does: an annotation behind a page, until Ctrl-C."""

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import typer
from masklet.runtime.annotation.annotation import Annotation
from masklet.runtime.annotation.clip import Clip
from masklet.runtime.annotation.truth import Agreement
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.masks.masks_by_frame import open_masks
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.tracking.known_policies import policy_of
from masklet.runtime.tracking.video_tracker import VideoTracker
from masklet.runtime.view.opening import open_annotation_view


def annotate_clip(
    bundle: Path,
    spec: str,
    folder: Path,
    port: str,
    cut: Mapping[str, Any],
    backend: BackendChoice,
    memory: str | None,
    truth: Path | None,
    check_hashes: bool,
) -> None:
    """Serve the page of a clip until Ctrl-C, then save. folder: where the annotation is saved."""
    model = Bundle.load(bundle, check_hashes=check_hashes)
    policy_of(model.model, memory)
    times = StageTimes()
    with ExitStack() as stack:
        clip, shown = (stack.enter_context(Clip(spec, cut)) for _ in range(2))
        width, height = clip.size
        agreement = None if truth is None else Agreement(open_masks(truth), (height, width))
        view = stack.enter_context(open_annotation_view("--port", port, times))
        sessions, _ = backend.open(model, lambda line: typer.echo(line, err=True), times.wrap)
        stack.enter_context(sessions)
        annotation = Annotation(clip, lambda: VideoTracker(sessions, memory=memory), folder)
        stack.callback(annotation.save_masks)
        view.begin(annotation, shown, folder, agreement, f"{model.model.family}/{model.model.variant}", backend.name)
        typer.echo(f"{clip.name}: {len(clip.indices)} frames, saved in {folder}; Ctrl-C ends it", err=True)
        typer.echo(view.private_url)
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            typer.echo(f"saved in {folder}", err=True)
