"""Compares engines with their graphs, because errors of FP16 are silent and show only in the masks.

A short synthetic clip is tracked twice: first by the graphs on ONNX Runtime's CPU, while every engine runs on the same
inputs and is compared output by output; then by the engines alone, and the masks are compared. A concept detector runs
once on a phrase and an exemplar, and its stages are judged by their outputs only, because detections in a synthetic
picture are not meaningful masks.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field

import numpy as np
from masklet.runtime.backends.engine_checks import keep_check, unchecked_artifacts
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.output_error import output_error
from masklet.runtime.backends.session import Backend, Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.concept import Concept, Exemplar
from masklet.runtime.concepts.predictor import ConceptPredictor
from masklet.runtime.errors import SessionError
from masklet.runtime.pixels.geometry import BoolArray
from masklet.runtime.prompts.prompts import Box, Mask, Points
from masklet.runtime.results import Frame
from masklet.runtime.segmentation.image_predictor import DECODER, ImagePredictor
from masklet.runtime.tracking.video_tracker import VideoTracker

LEAST_IOU = 0.99
LARGEST_ERROR = 0.1  # of a stage without masks: rounding stays well below it, a wrong engine far above
REMEDY = (
    f"expected IoU {LEAST_IOU}, and errors up to {LARGEST_ERROR} for stages without masks: use a higher precision for "
    "that stage, or another TensorRT"
)
FRAMES = 3
SIDE = 256  # edge of the clip, in pixels
DISC = 230  # red value of the disc
SURE = 80.0  # a logit


@dataclass
class EngineCheck:
    """The result of a check.

    relative:  ||engine - graph|| / ||graph|| of each stage, for its worst output; infinite if one is not finite.
    maskless:  stages that are judged by `relative`, because they produce no masks.
    not_run:   stages that did not run.
    iou:       IoU of the masks of whole runs, on the worst frame; None if the model neither tracks nor segments.
    """

    relative: dict[str, float] = field(default_factory=dict)
    maskless: set[str] = field(default_factory=set)
    not_run: set[str] = field(default_factory=set)
    iou: float | None = None

    @property
    def nonfinite(self) -> set[str]:
        """Stages with NaN or infinity in an output of their engine or graph."""
        return {stage for stage, relative in self.relative.items() if not math.isfinite(relative)}

    @property
    def passed(self) -> bool:
        masks = self.iou is None or self.iou >= LEAST_IOU
        return masks and not self.nonfinite and all(self.relative[name] <= LARGEST_ERROR for name in self.maskless)

    def __str__(self) -> str:
        """In one line: the masks, the worst stage, and what was not run."""
        finite = self.relative.keys() - self.nonfinite
        worst = max(sorted(finite), key=lambda stage: self.relative[stage], default="nothing")
        masks = "no masks" if self.iou is None else f"mask IoU {self.iou:.4f}"
        nonfinite = f", NaN or infinity from {', '.join(sorted(self.nonfinite))}" if self.nonfinite else ""
        not_run = f", not run: {', '.join(sorted(self.not_run))}" if self.not_run else ""
        return f"{masks}, largest error {self.relative.get(worst, 0):.1e} in {worst}{nonfinite}{not_run}"


class GraphsOfEngines(OnnxRuntime):
    """ONNX Runtime's CPU on the graphs that engines are built from."""

    formats = ("onnx",)


class ComparedSession(SessionAround):
    """The graph of a stage; its engine runs on the same inputs and is compared. Returns the outputs of the graph."""

    def __init__(self, graph: Session, engine: Session, check: EngineCheck) -> None:
        super().__init__(graph)
        self._engine, self._check = engine, check

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        wanted, stage = super().run(feeds), self.spec.name
        for output, got in self._engine.run(feeds).items():
            error = output_error(got, wanted[output]).relative
            self._check.relative[stage] = max(self._check.relative.get(stage, 0.0), error)
        return wanted

    def close(self) -> None:
        """Does nothing: the owner of the sessions closes them."""


class SureOfOne(SessionAround):
    """A detector that finds exactly its first query, so that the mask head runs."""

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        out = super().run(feeds)
        logits = np.full_like(out["detection_logits"], -SURE)
        logits[:, 0] = SURE
        return {**out, "detection_logits": logits, "presence_logit": np.full_like(out["presence_logit"], SURE)}


def check_engines(bundle: Bundle, backend: Backend, frames: int = FRAMES) -> EngineCheck:
    """Compare the engines of a bundle with its graphs over a clip of `frames` frames. backend: opens the engines."""
    check = EngineCheck()
    model, graphs = bundle.model, GraphsOfEngines()
    with ExitStack() as opened:
        engine_of: dict[str, Session] = {}
        compared: dict[str, Session] = {}
        for stage in model.stages:
            engine = opened.enter_context(closing(backend.open(bundle, stage)))
            graph = opened.enter_context(closing(graphs.open(bundle, stage)))
            engine_of[stage.name], compared[stage.name] = engine, ComparedSession(graph, engine, check)
        if DECODER in compared:
            wanted = list(_masks(Sessions(model, compared), frames))
            check.iou = min(map(_iou, _masks(Sessions(model, engine_of), frames), wanted))
        if model.concepts is not None:
            masked = set(check.relative)
            _find(Sessions(model, {**compared, "detector": SureOfOne(compared["detector"])}, bundle.asset))
            check.maskless = set(check.relative) - masked
    check.not_run = set(compared) - set(check.relative)
    return check


def require_checked(bundle: Bundle, backend_name: str, machine: str, open_backend: Callable[[], Backend]) -> str | None:
    """Check engines that were built but never run, once on each machine. Returns the result the first time.

    machine: names GPU, driver and TensorRT. Raises SessionError if masks of engines and graphs differ.
    """
    used = unchecked_artifacts(bundle, backend_name, machine)
    if not used:
        return None
    check = check_engines(bundle, open_backend())
    if not check.passed:
        raise SessionError(f"{bundle.root}: the engines differ from their graphs: {check}; {REMEDY}")
    keep_check(used, machine, str(check))
    return str(check)


def clip(frames: int = FRAMES) -> Iterator[Frame]:
    """A bright disc that moves over a dark gradient, starting at (`SIDE` / 3, `SIDE` / 2)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    for index in range(frames):
        inside = (x - SIDE / 3 - 6 * index) ** 2 + (y - SIDE / 2) ** 2 < (SIDE / 6) ** 2
        red, green = np.where(inside, DISC, x // 4), np.where(inside, 200, y // 4)
        yield Frame(index, index / 30, np.stack([red, green, 255 - red], axis=-1).astype(np.uint8))


def _masks(sessions: Sessions, frames: int) -> Iterator[BoolArray]:
    """The masks of a click on the disc, and of its refinement; for a model that tracks, those of a click and of a mask
    prompt on each frame."""
    click, image = Points.click(SIDE / 3, SIDE / 2), next(clip()).image
    predictor = ImagePredictor(sessions)
    predictor.set_image(image)
    first = predictor.predict(click)
    yield first.masks
    yield predictor.predict(click, earlier=first.low_res[:, 0]).masks
    if sessions.model.memory is None:
        return
    for prompt in (click, Mask(image[..., 0] == DISC)):
        tracker = VideoTracker(sessions)
        for frame in clip(frames):
            yield tracker.step(frame, {1: prompt} if frame.index == 0 else None).masks


def _find(sessions: Sessions) -> None:
    """Search the first frame for the disc, by an exemplar and its phrase."""
    predictor = ConceptPredictor(sessions)
    predictor.set_image(next(clip()).image)
    disc = Box(SIDE / 6, SIDE / 3, SIDE / 2, 2 * SIDE / 3)
    predictor.find(Concept(exemplars=(Exemplar(disc),)))


def _iou(a: BoolArray, b: BoolArray) -> float:
    either = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / either if either else 1.0
