"""A page on which a clip is annotated: what `masklet annotate` serves."""

import msgspec
from masklet.runtime.annotation.annotation import Annotation
from masklet.runtime.annotation.clip import Clip
from masklet.runtime.annotation.clip_masks import Record
from masklet.runtime.annotation.coverage import Direction, most_missing
from masklet.runtime.annotation.given_prompts import GivenPrompts
from masklet.runtime.annotation.truth import Agreement
from masklet.runtime.annotation.worker import AnnotationWorker
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.closing import Closing
from masklet.runtime.pixels.overlay import css_colour
from masklet.runtime.view.address import Address
from masklet.runtime.view.annotation_api import AnnotationApi
from masklet.runtime.view.annotation_messages import (
    AnnotatedClip,
    AnnotatedObject,
    LongWork,
    ObjectTimeline,
    Timeline,
)
from masklet.runtime.view.memory_use import memory_mb
from masklet.runtime.view.messages import Metrics
from masklet.runtime.view.page_server import PageServer
from masklet.runtime.view.view import CHART_FRAMES

DIRECTIONS: tuple[Direction, ...] = ("forwards", "backwards")


class AnnotationView(Closing):
    """Serves an annotation from `begin` on, until it is closed, which saves its masks.

    shown: the clip once more, for its pictures. truth: agreement with true masks; None without.
    Raises MaskletError where the port cannot be taken.
    """

    def __init__(self, option: str, address: Address, times: StageTimes) -> None:
        self._page = PageServer(option, address, dict, lambda: msgspec.json.encode(self._state()))
        self._times = times
        self._worker: AnnotationWorker | None = None
        self._missing_of: tuple[GivenPrompts | None, int, dict[str, int]] = (None, 0, {})

    def begin(self, annotation: Annotation, shown: Clip, agreement: Agreement | None, model: str, backend: str) -> None:
        """Serve. model, backend: what runs, in words."""
        self._annotation, self._agreement = annotation, agreement
        self._model, self._backend = model, backend
        self._worker = worker = AnnotationWorker(annotation)
        api = AnnotationApi(annotation, worker, shown, self._state, self._timeline, self._page.beside)
        self._page.begin(api.endpoints())

    @property
    def url(self) -> str:
        """Where the page is, without the token."""
        return self._page.url

    @property
    def private_url(self) -> str:
        """The same with the token, where one is needed."""
        return self._page.private_url

    def close(self) -> None:
        self._page.close()
        if self._worker is not None:
            self._worker.close()
            self._annotation.save_masks()

    def _state(self) -> AnnotatedClip:
        of, given = self._annotation, self._annotation.given
        indices = of.clip.indices
        progress = None if self._worker is None else self._worker.progress
        stages = self._times.since(0)[-CHART_FRAMES:]
        return AnnotatedClip(
            name=of.clip.name,
            size=of.clip.size,
            fps=of.clip.fps,
            frames=(indices[0], len(indices), indices.step),
            objects=[_object(given, i) for i in given.object_ids],
            can_undo=of.sheet.can_undo,
            version=of.masks.version,
            missing=self._missing(given, of.masks.version),
            work=None
            if progress is None
            else LongWork(progress.what, progress.frame, progress.done, progress.total, progress.frames_per_s),
            works=0 if self._worker is None else self._worker.begun,
            reached=None if self._worker is None else self._worker.reached,
            saved=of.saved,
            folder=str(of.folder),
            has_truth=self._agreement is not None,
            metrics=Metrics(self._backend, self._model, memory_mb(), self._page.viewers, stages),
        )

    def _missing(self, given: GivenPrompts, version: int) -> dict[str, int]:
        """Frames without a mask, found anew where anything has changed."""
        if self._missing_of[:2] != (given, version):
            indices, masks = self._annotation.clip.indices, self._annotation.masks
            self._missing_of = given, version, {d: most_missing(given, masks, indices, d) for d in DIRECTIONS}
        return self._missing_of[2]

    def _timeline(self) -> Timeline:
        """Every object along the clip. The worker may go on meanwhile; a later version then says more."""
        of = self._annotation
        version = of.masks.version
        return Timeline(version, [self._along(object_id) for object_id in of.given.object_ids])

    def _along(self, object_id: int) -> ObjectTimeline:
        known = dict(self._annotation.masks.frames(object_id))
        runs: list[tuple[str, int]] = []
        for frame in self._annotation.clip.indices:
            kind = _kind(known.get(frame))
            count = runs.pop()[1] if runs and runs[-1][0] == kind else 0
            runs.append((kind, count + 1))
        if self._agreement is None:
            return ObjectTimeline(object_id, runs, None)
        found = ((frame, known.get(frame)) for frame in self._annotation.clip.indices)
        agreed = [None if record is None else self._agreement.j(frame, record) for frame, record in found]
        return ObjectTimeline(object_id, runs, [None if j is None else round(j, 3) for j in agreed])


def _object(given: GivenPrompts, object_id: int) -> AnnotatedObject:
    return AnnotatedObject(object_id, given.names.get(object_id, ""), css_colour(object_id), given.frames(object_id))


def _kind(record: Record | None) -> str:
    if record is None:
        return "unknown"
    return "visible" if record["bbox"][2] else "lost"
