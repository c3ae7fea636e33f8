"""Clips for calibration: a source, what to track in it, and true masks if available."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from masklet.calibration.clips.per_image_tracker import PerImageTracker
from masklet.calibration.clips.truth import MaskLines, MasksByFrame
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import CalibrationError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import Source
from masklet.runtime.startup.tracking_request import TrackingRequest
from masklet.runtime.streams.follow import follow
from masklet.runtime.tracking.snapshot import TrackerSnapshot
from masklet.runtime.tracking.tracker import Tracker
from masklet.runtime.tracking.video_tracker import VideoTracker


@dataclass(frozen=True, slots=True)
class Clip:
    """A source and what to track in it.

    schedule: prompts of objects; with concepts, corrections of their instances.
    cut:      which frames, as arguments of `open_source`.
    concepts: concepts to find every instance of; empty if all objects are prompted.
    truth:    true masks, or None.
    """

    source: str
    schedule: Schedule
    cut: Mapping[str, Any]
    concepts: tuple[Concept, ...] = ()
    found_with: ConceptOptions = field(default_factory=ConceptOptions)
    truth: MasksByFrame | None = None

    def open(self) -> Source:
        """Open the source. Raises CalibrationError for a live source, which cannot be read a second time."""
        source = open_source(self.source, **self.cut)
        if source.lossy or (source.frames is None and not Path(self.source).exists()):
            source.close()
            raise CalibrationError(f"{source.name}: calibration reads frames several times; record to a file first")
        return source

    def tracker(self, sessions: Sessions, before: TrackerSnapshot | None = None) -> Tracker:
        """The tracker for its frames, from the first one or, if objects are prompted, from a snapshot."""
        if self.concepts and sessions.model.memory is None:
            return PerImageTracker(sessions, self.concepts, self.found_with)
        tracker = self.wanted.tracker(sessions)
        if before is not None and isinstance(tracker, VideoTracker):
            tracker.restore(before)
        return tracker

    @property
    def wanted(self) -> TrackingRequest:
        """What to track in it."""
        return TrackingRequest(self.schedule, self.concepts, self.found_with)

    @property
    def first_frame(self) -> int:
        """The index of the first frame."""
        return int(self.cut.get("start", 0))

    def prompted_on(self, object_id: int) -> set[int]:
        """The frames on which an object is prompted."""
        return {frame for frame, prompts in self.schedule.items() if object_id in prompts}


def check_clips(clips: Sequence[Clip], bundle: Bundle) -> list[str]:
    """Check clips before any work is done. Returns remarks for the user. Raises MaskletError for unusable clips."""
    remarks, (rows, columns) = [], bundle.model.preprocess.hw
    for clip in clips:
        if clip.concepts:
            _check_concepts(clip, bundle)
        elif bundle.model.memory is None:
            raise CalibrationError(f"{clip.source}: the model finds concepts in images and does not track; give --text")
        else:
            clip.wanted.check_given(f" in {clip.source}")
        with clip.open() as source:
            clip.wanted.check_source(source)
            width, height = source.size
            if max(width, height) < max(rows, columns):
                remarks.append(
                    f"{source.name}: frames of {width} x {height} are smaller than the model's {columns} x {rows}; "
                    "ranges measured on enlarged frames may not fit the camera's frames"
                )
    return remarks


def check_phrases(clips: Sequence[Clip], masks: Sequence[MaskLines]) -> None:
    """Raise CalibrationError if a phrase has no instance in the masks of any clip."""
    found = set().union(*(lines.phrases for lines in masks))
    for name in sorted({concept.name for clip in clips for concept in clip.concepts} - found):
        raise CalibrationError(
            f"{', '.join(clip.source for clip in clips)}: {name!r} finds nothing on any frame, so there are no "
            "masks to compare; search for something visible, or lower --min-score"
        )


def _check_concepts(clip: Clip, bundle: Bundle) -> None:
    clip.wanted.check_model(bundle)
    if bundle.model.memory is not None:
        clip.wanted.check_given()
    elif clip.schedule or any(concept.exemplars for concept in clip.concepts):
        raise CalibrationError(
            f"{clip.source}: a model for images is calibrated with --text only, which it searches for on each frame"
        )
    if clip.truth is not None:
        raise CalibrationError(
            f"{clip.source}: true masks refer to objects by the ids of their prompts, which --text and --exemplar do "
            "not have; leave out --truth: instances are compared with those of FP32"
        )


def run(sessions: Sessions, clip: Clip) -> Iterator[tuple[Frame, FrameResult]]:
    """Run the ordinary pipeline over a clip."""
    with clip.open() as source:
        yield from follow(clip.tracker(sessions), source, clip.schedule)
