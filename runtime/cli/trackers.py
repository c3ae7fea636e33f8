"""The trackers of a run's streams: they share sessions, and a detector of concepts where one is needed."""

from functools import cached_property

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.cli.open_stream import Opened, RunOptions
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.detector import ConceptDetector
from masklet.runtime.concepts.tracker import NO_STATE, ConceptTracker
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.tracking.tracker import CorrectableTracker
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker


class Trackers:
    """Makes trackers on sessions."""

    def __init__(self, sessions: Sessions, options: RunOptions) -> None:
        self._sessions, self._options = sessions, options

    @property
    def finds_concepts(self) -> bool:
        """Whether the model can look for phrases."""
        return self._sessions.model.concepts is not None

    @property
    def concepts(self) -> tuple[Concept, ...] | None:
        """What streams begin to look for; None where the model cannot."""
        return self._options.concepts if self.finds_concepts else None

    def of(self, one: Opened) -> CorrectableTracker:
        """The tracker with which a stream begins, or goes on from its state."""
        if self._options.concepts:
            return self.looking_for(self._options.concepts)
        tracker = self._prompted()
        if one.state is not None:
            tracker.restore(one.state.tracker)
        return tracker

    def looking_for(self, concepts: tuple[Concept, ...]) -> CorrectableTracker:
        """A tracker that finds concepts, or of prompted objects alone where there is none.

        Raises PromptError for a concept that cannot be looked for, StateError where its state would have to be kept.
        """
        if not concepts:
            return self._prompted()
        if self._options.state is not None:
            raise StateError(NO_STATE)
        if self._options.update_interval > 1:
            raise PromptError("--update-interval is for prompted objects; with --text leave it out")
        memory, limits = self._options.memory, self._options.limits
        return ConceptTracker(self._sessions, concepts, self._detector.options, self._detector, memory, limits)

    @cached_property
    def _detector(self) -> ConceptDetector:
        return ConceptDetector(self._sessions, self._options.found_with)

    def _prompted(self) -> VideoTracker:
        given = self._options
        options = TrackerOptions(
            non_overlapping=given.non_overlapping, limits=given.limits, update_interval=given.update_interval
        )
        return VideoTracker(self._sessions, options, given.memory)
