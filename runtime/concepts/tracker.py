"""ConceptTracker: detects and tracks every instance of a phrase, frame by frame (SAM 3's PCS task).

The detector runs on every frame, and the tracker propagates every object from the previous frame. A detection that
matches a track confirms it; a detection without a track starts a new object (V = sam3_video_base.py,
I = sam3_video_inference.py).
"""

import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.tuning import Attending
from masklet.runtime.concepts.concept import Concept, concepts_of
from masklet.runtime.concepts.delayed_results import PendingConcepts
from masklet.runtime.concepts.detector import ConceptDetector, Detections
from masklet.runtime.concepts.follow import Follower
from masklet.runtime.concepts.lifecycle import Lifecycle, Track
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import MaskletWarning, PromptError, SpecError, StateError
from masklet.runtime.pixels.geometry import resize_mask
from masklet.runtime.pixels.mask_cleaning import clean
from masklet.runtime.prompts.prompts import Mask, Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sources.source import Source
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.masklets import Decoded, Masklets
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot

FIRST_ALONE = (
    "points, boxes and masks cannot be given on the first frame with --text or --exemplar, since its objects have no "
    "ids yet; give them on a later frame, as in --point ID@FRAME:X,Y"
)
NO_STATE = "the state of objects found by --text or --exemplar cannot be saved; leave out --state"


def check_for_video(concepts: Iterable[Concept]) -> None:
    """Raise PromptError for a concept that can be searched for in images only (I: _get_visual_prompt)."""
    for concept in concepts:
        if len(concept.exemplars) > 1:
            count = len(concept.exemplars)
            raise PromptError(f"{concept.name}: a video takes one exemplar per phrase, got {count}; images take more")


def check_refinements(frames: Iterable[int], source: Source) -> None:
    """Raise PromptError for a prompt on the first frame, before there are objects. frames: frames with prompts."""
    if any(source.begins_with(frame) for frame in frames):
        raise PromptError(FIRST_ALONE)


class ConceptsReset(MaskletWarning):
    """The concepts were replaced, and the tracked objects dropped."""


class ConceptTracker:
    """Detects every instance of one or several concepts and tracks each through a stream of frames.

        tracker = ConceptTracker(Bundle.load("sam3.bundle"), ["car", "person"])
        for frame in open_source("clip.mp4"):
            for result in tracker.step(frame):
                ...
        for result in tracker.finish():
            ...

    Give frames in order of time, each once. Results are delayed by `delay` frames, so that false positives can be left
    out from their first frame on; ConceptOptions(hotstart=0) has no delay and removes nothing. Objects are numbered
    from 1. Points, a box or a mask correct an object or add one. An exemplar is in the pixels of the next frame given;
    later frames are searched for the phrase only.

    sessions: a bundle, which is opened on ONNX Runtime's CPU provider, or open sessions, which are then shared.
    Raises SpecError if the model has no concept detector or no tracker, PromptError for concepts that the model cannot
    search for.
    """

    def __init__(
        self,
        sessions: Bundle | Sessions,
        concepts: Concept | str | Iterable[Concept | str],
        options: ConceptOptions | None = None,
        detector: ConceptDetector | None = None,
        memory: Memory = None,
        limits: MemoryLimits | None = None,
    ) -> None:
        """detector: may be shared by the trackers of several streams; a phrase is then encoded once for all.

        memory: the memory policy, as VideoTracker takes it. limits: how much of its memories a frame attends to.
        """
        self._sessions = sessions if isinstance(sessions, Sessions) else Sessions.open(sessions)
        self._options = options or ConceptOptions()
        model = self._sessions.model
        self._detector = detector or ConceptDetector(self._sessions, self._options)
        if model.memory is None:
            raise SpecError(
                f"{model.family}/{model.variant} has no tracker: it finds concepts in images only, not in videos"
            )
        self._masklets = Masklets(self._sessions, memory, limits)
        self._look_for(self._checked(concepts_of(concepts)))

    @property
    def delay(self) -> int:
        """Number of frames by which results are delayed."""
        return self._options.delay

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The concepts that are searched for."""
        return self._concepts

    @property
    def object_ids(self) -> list[int]:
        """Ids of the tracked objects, in the order in which they were added."""
        return list(self._life.tracks)

    def look_for(self, concepts: Concept | str | Iterable[Concept | str]) -> list[FrameResult]:
        """Search for other concepts from the next frame on. Tracking restarts, ids too (I: add_prompt, reset_state).

        Warns (ConceptsReset) about the objects that are dropped. Returns the results that were still delayed.
        Raises PromptError, before any change, for concepts that the model cannot search for.
        """
        wanted = self._checked(concepts_of(concepts))
        lost = [f"{i} ({self._name(track)})" for i, track in self._life.tracks.items()]
        if lost:
            names = ", ".join(one.name for one in wanted)
            warnings.warn(
                ConceptsReset(f"searching for {names} restarts tracking and drops {', '.join(lost)}"), stacklevel=2
            )
        late = self.finish()
        for object_id in self._masklets.bank.object_ids:
            self._masklets.bank.forget(object_id)
        self._look_for(wanted)
        return late

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[FrameResult]:
        """Detect and track on the next frame. Returns the result of the frame `delay` frames ago, if there is one.

        prompts: object id -> prompt in the pixels of this frame, as for `refine`.
        Raises PromptError, before any change, if a prompt or an exemplar does not fit the frame.
        """
        return [one.result() for one in self.advance(frame, prompts)]

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[PendingConcepts]:
        """Like `step`, but masks are not yet enlarged to the frame's size; another thread can do that."""
        if prompts and self._first:
            raise PromptError(FIRST_ALONE)
        prompts = self._masklets.check_all(prompts, frame)
        for concept in self._concepts if self._first else ():
            concept.check(frame.hw)
        self._masklets.begin(frame)
        pending = PendingConcepts(frame, [concept.name for concept in self._concepts])
        looked = self._first or (self._masklets.time - self._since) % self._options.detection_interval == 0
        removed = self._follower.update(pending, self._detect(frame, looked), looked)
        self._latest = pending
        self._waiting.append(pending)
        for object_id in removed:
            self._take_out(object_id)
        for object_id, prompt in prompts.items():
            self._prompted(object_id, prompt)
        return self._due(self.delay)

    def attend(self, attending: Attending) -> None:
        """Attend to as many frames and pointers from the next frame on, and run the detector as often."""
        bank = self._masklets.bank
        bank.limits = replace(bank.limits, frames=attending.memory_frames, pointers=attending.pointers)
        self._options = replace(self._options, detection_interval=attending.detection_interval)

    def finish(self) -> list[FrameResult]:
        """The results that are still delayed; call it after the last frame of a source."""
        return [one.result() for one in self.late()]

    def late(self) -> list[PendingConcepts]:
        """Like `finish`, but masks are not yet enlarged to the frame's size."""
        return self._due(0)

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Correct an object on the latest frame, or add one, by points, a box or a mask.

        Points use the current logits of the object but no memory, and replace earlier points of this frame: give those
        again if they still apply (I: add_tracker_new_points). A prompted object has score 1, and no rule removes or
        hides it. Returns the result of the frame as known now; a result that is still delayed will include the change.
        Raises PromptError if there is no frame yet or the prompt does not fit it.
        """
        self._masklets.check(object_id, prompt, self._masklets.frame)
        if self._first:
            raise PromptError(FIRST_ALONE)
        self._prompted(object_id, prompt)
        return self._latest.result()

    def current(self) -> PendingConcepts:
        """The frame that was last given, as it is known now; where its result is still due, it may come changed."""
        return self._latest.settled(self._latest.unconfirmed)

    def object_snapshot(self, object_id: int) -> ObjectSnapshot:
        """What is remembered of an object after the last frame. Raises PromptError where it is not followed."""
        return self._masklets.bank.object_snapshot(object_id)

    def put_back(self, snapshot: ObjectSnapshot) -> None:
        """Go on from an earlier snapshot of an object, which may have been removed since, from the next frame on."""
        self._masklets.bank.put_back(snapshot)
        if snapshot.object_id not in self._life.tracks:
            self._begin_by_user(snapshot.object_id)

    def remove(self, object_id: int) -> None:
        """Stop tracking an object. Raises PromptError if there is no object of that id."""
        self._masklets.bank.forget(object_id)
        self._life.remove(object_id)
        self._take_out(object_id)

    def _checked(self, concepts: tuple[Concept, ...]) -> tuple[Concept, ...]:
        """Check that the concepts can be searched for in videos, and encode their phrases."""
        check_for_video(concepts)
        self._detector.read(concepts)
        return concepts

    def _look_for(self, concepts: tuple[Concept, ...]) -> None:
        self._concepts, self._first, self._since = concepts, True, 0
        self._life = Lifecycle(self._options)
        self._follower = Follower(self._masklets, self._life, self._options)
        self._waiting: deque[PendingConcepts] = deque()

    def snapshot(self) -> TrackerSnapshot:
        """Raises StateError: the state of tracked concepts cannot be saved."""
        raise StateError(NO_STATE)

    def _detect(self, frame: Frame, looks: bool) -> list[Detections | None]:
        """Detections of each concept; None for a concept without a phrase after its first frame, or between looks."""
        asked = [n for n, one in enumerate(self._concepts) if self._first or (looks and one.phrase is not None)]
        wanted = [one if self._first else replace(one, exemplars=()) for one in map(self._concepts.__getitem__, asked)]
        if self._first:
            self._first, self._since = False, self._masklets.time
        found: list[Detections | None] = [None] * len(self._concepts)
        if wanted:
            for place, one in zip(asked, self._detector.find(self._masklets.features, wanted, frame.hw), strict=True):
                found[place] = one
        return found

    def _prompted(self, object_id: int, prompt: Prompt) -> None:
        track = self._life.tracks.get(object_id)
        time, bank = self._masklets.time, self._masklets.bank
        decoded = self._decoded(object_id, prompt)
        if track is None:
            track = self._begin_by_user(object_id)
        else:
            bank.forget_recent(object_id)
            since = time - self._options.refine_window
            bank.unpin(object_id, [t for t in track.detector_times if since <= t < time])
            track.detector_times = []
        self._masklets.remember(decoded, decoded.low_res)
        track.score, track.by_user = 1.0, True
        logits = clean(np.array(decoded.low_res[:, 0], np.float32), self._options.clean_area)[0]
        presence = self._latest.shown[object_id].presence if object_id in self._latest.shown else None
        self._follower.show(track, logits, 1.0, presence, self._latest)
        for pending in (*self._waiting, self._latest):
            pending.forgive(object_id)

    def _begin_by_user(self, object_id: int) -> Track:
        """Take up an object that a user added; among several concepts it is an instance of none."""
        only = 0 if len(self._concepts) == 1 else None
        track = self._life.begin(object_id, only, self._masklets.time, 1.0)
        track.by_user = True
        self._follower.next_id = max(self._follower.next_id, object_id + 1)
        return track

    def _decoded(self, object_id: int, prompt: Prompt) -> Decoded:
        if isinstance(prompt, Mask):
            mask = resize_mask(prompt.mask, self._masklets.mask_hw)
            return self._masklets.from_masks([object_id], mask[None], pinned=True)
        logits = self._follower.logits(object_id)
        earlier = None if logits is None else logits[None]
        return self._masklets.from_points(object_id, prompt, earlier=earlier, with_memory=False, pinned=True)

    def _take_out(self, object_id: int) -> None:
        """Delete an object from all results that are still delayed."""
        for pending in (*self._waiting, self._latest):
            pending.shown.pop(object_id, None)

    def _due(self, delay: int) -> list[PendingConcepts]:
        """Results that are older than `delay` frames, and therefore final."""
        due, interval = [], self._options.detection_interval
        confirmed_by = -(-(self._options.confirm_frames - 1) // interval) * interval  # frames later, at the next look
        while len(self._waiting) > delay:
            ahead = self._waiting[min(len(self._waiting) - 1, confirmed_by)]
            due.append(self._waiting.popleft().settled(ahead.unconfirmed))
        return due

    def _name(self, track: Track) -> str:
        return "added" if track.concept is None else self._concepts[track.concept].name
