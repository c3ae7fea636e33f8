"""The trackers of a run's streams: they share sessions, and a concept detector if one is needed."""

from collections.abc import Callable
from functools import cached_property, partial

from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.tuning import Tuning
from masklet.runtime.cli.open_stream import Opened, RunOptions
from masklet.runtime.cli.tuned_options import first_step
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.concepts.detector import ConceptDetector
from masklet.runtime.concepts.tracker import NO_STATE, ConceptTracker
from masklet.runtime.errors import PromptError, StateError
from masklet.runtime.streams.budgeted_tracker import BudgetedTracker
from masklet.runtime.tracking.tracker import CorrectableTracker
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker


class Trackers:
    """Makes trackers on sessions.

    tuning:  what the bundle was tuned to, along which a budget is kept.
    stepped: called with each step that a stream takes for it: number of the stream, step from 0, and why.
    """

    def __init__(
        self,
        sessions: Sessions,
        options: RunOptions,
        tuning: Tuning | None = None,
        stepped: Callable[[int, int, str], None] = lambda stream, step, why: None,
    ) -> None:
        self._sessions, self._options, self._tuning, self._stepped = sessions, options, tuning, stepped

    @property
    def finds_concepts(self) -> bool:
        """Whether the model can find phrases."""
        return self._sessions.model.concepts is not None

    @property
    def concepts(self) -> tuple[Concept, ...] | None:
        """The concepts that streams look for at their start; None if the model cannot find concepts."""
        return self._options.concepts if self.finds_concepts else None

    def of(self, one: Opened) -> CorrectableTracker:
        """The tracker with which a stream starts, or continues from its state."""
        tracker = self.looking_for(self._options.concepts)
        if one.state is not None and isinstance(tracker, VideoTracker):
            tracker.restore(one.state.tracker)
        if self._options.target_fps is None or self._tuning is None:
            return tracker
        steps, first = first_step(self._tuning)
        stepped = partial(self._stepped, one.number)
        return BudgetedTracker(tracker, steps, first, 1e3 / self._options.target_fps, stepped)

    def looking_for(self, concepts: tuple[Concept, ...]) -> VideoTracker | ConceptTracker:
        """A tracker that finds concepts, or tracks prompted objects only if there are no concepts.

        Raises PromptError for a concept that cannot be found, StateError if its state would have to be saved.
        """
        if not concepts:
            return self._prompted()
        if self._options.state is not None:
            raise StateError(NO_STATE)
        if (self._options.update_interval or 1) > 1:
            raise PromptError("--update-interval is for prompted objects; with --text leave it out")
        memory, limits = self._options.memory, self._options.limits
        return ConceptTracker(self._sessions, concepts, self._detector.options, self._detector, memory, limits)

    @cached_property
    def _detector(self) -> ConceptDetector:
        return ConceptDetector(self._sessions, self._options.found_with)

    def _prompted(self) -> VideoTracker:
        given = self._options
        options = TrackerOptions(
            non_overlapping=given.non_overlapping, limits=given.limits, update_interval=given.update_interval or 1
        )
        return VideoTracker(self._sessions, options, given.memory)
