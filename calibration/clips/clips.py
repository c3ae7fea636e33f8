"""What a bundle is calibrated and judged on: sources, what to track in them, and true masks where there are some."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from masklet.calibration.clips.per_image_tracker import EachImage
from masklet.calibration.clips.truth import MasksByFrame
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

    schedule: prompts of objects; with concepts, what corrects them. cut: which frames, as `open_source` takes them.
    concepts: what to find every instance of, and how; none where all objects are prompted.
    truth:    None where there is none.
    """

    source: str
    schedule: Schedule
    cut: Mapping[str, Any]
    concepts: tuple[Concept, ...] = ()
    found_with: ConceptOptions = field(default_factory=ConceptOptions)
    truth: MasksByFrame | None = None

    def open(self) -> Source:
        """Open the source. Raises CalibrationError for a feed, which cannot be run a second time."""
        source = open_source(self.source, **self.cut)
        if source.lossy or (source.frames is None and not Path(self.source).exists()):
            source.close()
            raise CalibrationError(f"{source.name}: frames are run several times; record the feed to a file first")
        return source

    def tracker(self, sessions: Sessions, before: TrackerSnapshot | None = None) -> Tracker:
        """What its frames go through, from the first one or, where objects are prompted, after a snapshot."""
        if self.concepts and sessions.model.memory is None:
            return EachImage(sessions, self.concepts, self.found_with)
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
        """The index of the frame that comes first."""
        return int(self.cut.get("start", 0))

    def prompted_on(self, object_id: int) -> set[int]:
        """The frames on which an object is prompted."""
        return {frame for frame, prompts in self.schedule.items() if object_id in prompts}


def check_clips(clips: Sequence[Clip], bundle: Bundle) -> list[str]:
    """Refuse what cannot be calibrated on before any work is done; returns remarks for the user."""
    remarks, side = [], bundle.model.preprocess.side
    for clip in clips:
        if clip.concepts:
            _check_concepts(clip, bundle)
        elif bundle.model.memory is None:
            raise CalibrationError(
                f"{clip.source}: the model finds concepts in images and follows nothing; give --text"
            )
        else:
            clip.wanted.check_given(f" in {clip.source}")
        with clip.open() as source:
            clip.wanted.check_source(source)
            width, height = source.size
            if max(width, height) < side:
                remarks.append(
                    f"{source.name}: frames of {width} x {height} are smaller than the model's {side} x {side}; what "
                    "is calibrated on enlarged frames may not fit those of the camera"
                )
    return remarks


def _check_concepts(clip: Clip, bundle: Bundle) -> None:
    clip.wanted.check_model(bundle)
    if bundle.model.memory is not None:
        clip.wanted.check_given()
    elif clip.schedule or any(concept.exemplars for concept in clip.concepts):
        raise CalibrationError(
            f"{clip.source}: on a model for images, calibration looks for --text alone, on each frame"
        )
    if clip.truth is not None:
        raise CalibrationError(
            f"{clip.source}: true masks name objects by the ids of their prompts, which --text and --exemplar do not "
            "give; leave out --truth: instances are compared with FP32's"
        )


def run(sessions: Sessions, clip: Clip) -> Iterator[tuple[Frame, FrameResult]]:
    """Run the ordinary pipeline over a clip."""
    with clip.open() as source:
        yield from follow(clip.tracker(sessions), source, clip.schedule)
