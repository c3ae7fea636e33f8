"""Whether engines compute what their graphs compute: FP16 errors are silent, and show only in the masks.

A short synthetic clip is tracked twice. First by the graphs on ONNX Runtime's CPU, while every engine is run on the
very feeds that its graph gets and compared output by output; then by the engines alone, and the masks are compared.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from masklet.runtime.backends.engine_fingerprint import NOT_RUN, engines
from masklet.runtime.backends.onnxrt import OnnxRuntime
from masklet.runtime.bundle import Bundle
from masklet.runtime.errors import SessionError
from masklet.runtime.geometry import BoolArray
from masklet.runtime.image import ImagePredictor
from masklet.runtime.prompts import Points
from masklet.runtime.results import Frame
from masklet.runtime.session import Backend, Feeds, Session, Sessions
from masklet.runtime.spec import StageSpec, Tensor
from masklet.runtime.video import VideoTracker

LEAST_IOU = 0.99
REMEDY = f"wanted IoU {LEAST_IOU}: take a higher precision for that stage, or another TensorRT"
FRAMES = 3
SIDE = 256  # of the clip, in pixels


@dataclass
class EngineCheck:
    """What a check found.

    relative:  ||engine - graph|| / ||graph|| of each stage, its worst output.
    nonfinite: stages with NaN or infinity that their graph does not have.
    iou:       of the masks of whole runs, the worst frame.
    """

    relative: dict[str, float] = field(default_factory=dict)
    nonfinite: set[str] = field(default_factory=set)
    iou: float = 1.0

    @property
    def passed(self) -> bool:
        return self.iou >= LEAST_IOU and not self.nonfinite

    def __str__(self) -> str:
        """In one line: the worst stage, and the masks."""
        worst = max(self.relative, key=lambda stage: self.relative[stage], default="nothing")
        nonfinite = f", NaN or infinity from {', '.join(sorted(self.nonfinite))}" if self.nonfinite else ""
        return f"mask IoU {self.iou:.4f}, largest error {self.relative.get(worst, 0):.1e} in {worst}{nonfinite}"


class GraphsOfEngines(OnnxRuntime):
    """ONNX Runtime's CPU on the graphs that engines are built from."""

    formats = ("onnx",)


class ComparedSession:
    """A stage's graph, whose engine is run on the same feeds beside it; the graph's outputs go on."""

    def __init__(self, graph: Session, engine: Session, found: EngineCheck) -> None:
        self._graph, self._engine, self._found = graph, engine, found

    @property
    def spec(self) -> StageSpec:
        return self._graph.spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        wanted, name = self._graph.run(feeds), self.spec.name
        for output, got in self._engine.run(feeds).items():
            want, values = wanted[output].astype(np.float64), np.asarray(got).astype(np.float64)
            if np.isfinite(want).all() and not np.isfinite(values).all():
                self._found.nonfinite.add(name)
            else:
                error = float(np.linalg.norm(values - want) / max(float(np.linalg.norm(want)), 1e-12))
                self._found.relative[name] = max(self._found.relative.get(name, 0.0), error)
        return wanted

    def close(self) -> None:
        """The sessions are closed by whoever opened them."""


def check_engines(bundle: Bundle, backend: Backend, frames: int = FRAMES) -> EngineCheck:
    """Compare a bundle's engines with its graphs over a clip of so many frames. backend: opens the engines."""
    found = EngineCheck()
    graphs = GraphsOfEngines()
    engine_of = {stage.name: backend.open(bundle, stage) for stage in bundle.model.stages}
    graph_of = {stage.name: graphs.open(bundle, stage) for stage in bundle.model.stages}
    compared = {name: ComparedSession(graph, engine_of[name], found) for name, graph in graph_of.items()}
    with Sessions(bundle.model, engine_of) as by_engines, Sessions(bundle.model, graph_of):
        wanted = list(_masks(Sessions(bundle.model, compared), frames))
        found.iou = min(map(_iou, _masks(by_engines, frames), wanted))
    return found


def require_checked(bundle: Bundle, backend_name: str, machine: str, open_backend: Callable[[], Backend]) -> str | None:
    """Check engines that were built and never run, once on each machine; returns what was found the first time.

    machine: names GPU, driver and TensorRT. Raises SessionError where the engines' masks are not those of the graphs.
    """
    used = [a for stage in bundle.model.stages for a in engines(bundle, stage.name, backend_name)]
    if all((a.built_for or {}).get("check") != NOT_RUN for a in used):
        return None
    key = hashlib.sha256("".join([machine, *sorted(a.files[0].sha256 for a in used)]).encode()).hexdigest()
    note = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "masklet" / "engine-checks" / key
    if note.is_file():
        return None
    found = check_engines(bundle, open_backend())
    if not found.passed:
        raise SessionError(f"{bundle.root}: the engines do not compute what their graphs do: {found}; {REMEDY}")
    with suppress(OSError):  # where nothing can be kept, the next run checks again
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"{found}\n")
    return str(found)


def clip(frames: int = FRAMES) -> Iterator[Frame]:
    """A bright disc that moves over a dark gradient; it begins at (`SIDE` / 3, `SIDE` / 2)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    for index in range(frames):
        inside = (x - SIDE / 3 - 6 * index) ** 2 + (y - SIDE / 2) ** 2 < (SIDE / 6) ** 2
        red, green = np.where(inside, 230, x // 4), np.where(inside, 200, y // 4)
        yield Frame(index, index / 30, np.stack([red, green, 255 - red], axis=-1).astype(np.uint8))


def _masks(sessions: Sessions, frames: int) -> Iterator[BoolArray]:
    """The masks of a click on the disc: of each frame, or of the first where the model segments images."""
    click = Points.click(SIDE / 3, SIDE / 2)
    if sessions.model.memory is not None:
        tracker = VideoTracker(sessions)
        for frame in clip(frames):
            yield tracker.step(frame, {1: click} if frame.index == 0 else None).masks
    else:
        predictor = ImagePredictor(sessions)
        predictor.set_image(next(clip()).image)
        yield predictor.predict(click).masks


def _iou(a: BoolArray, b: BoolArray) -> float:
    either = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / either if either else 1.0
