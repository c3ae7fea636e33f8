"""What to track; checks once, before any work, that a bundle and a source fit the request."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.detector import check_concepts
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.tracker import ConceptTracker, check_for_video, check_refinements
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.sources.source import Source
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.tracker import Tracker
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker


@dataclass(frozen=True, slots=True)
class TrackingRequest:
    """What to track.

    schedule:   prompts of objects, by frame and object; with concepts, corrections and additions.
    concepts:   concepts to find every instance of; empty if all objects are prompted.
    found_with: options of detection and tracking of instances.
    """

    schedule: Schedule
    concepts: tuple[Concept, ...] = ()
    found_with: ConceptOptions = field(default_factory=ConceptOptions)

    def check_given(self, where: str = "") -> None:
        """Raise PromptError if there is nothing to track, or a video cannot be searched for it.

        where: text for the message after "nothing to track", such as " in source 2".
        """
        if self.concepts:
            check_for_video(self.concepts)
        elif not self.schedule:
            raise PromptError(f"nothing to track{where}: give at least one of --point, --box, --mask and --text")

    def check_model(self, bundle: Bundle) -> None:
        """Raise MaskletError if a bundle does not fit the request."""
        if self.concepts:
            check_concepts(bundle.model, bundle.asset, self.concepts)

    def check_source(self, source: Source) -> None:
        """Raise PromptError if the frame of a prompt does not come, or comes before there are objects to correct."""
        check_frames_come(self.schedule, source)
        self.check_refinements(source)

    def check_refinements(self, source: Source) -> None:
        """Raise PromptError for a prompt on the first frame, on which concepts are found."""
        if self.concepts:
            check_refinements(self.schedule, source)

    def tracker(self, sessions: Sessions, options: TrackerOptions | None = None, memory: Memory = None) -> Tracker:
        """The tracker for the request. Encodes phrases, once. memory: the memory policy; None for the model's own."""
        if self.concepts:
            limits = None if options is None else options.limits
            return ConceptTracker(sessions, self.concepts, self.found_with, memory=memory, limits=limits)
        return VideoTracker(sessions, options, memory)


def check_frames_come(frames: Iterable[int], source: Source) -> None:
    """Raise PromptError, before any work, if a prompt is for a frame that the source will not deliver."""
    for index in sorted(frames):
        if not source.will_yield(index):
            raise PromptError(f"a prompt is for frame {index}, but {source.name} delivers only {source.range}")
