"""ConceptTracker: every instance of a phrase, found and followed, a frame at a time (SAM 3's PCS task).

The detector sees every frame, and the tracker carries every object over from the frame before. Where the two agree an
object lives on; where a detection is no track, an object begins (V = sam3_video_base.py, I = sam3_video_inference.py).
"""

import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.concepts.concept import Concept, concepts_of
from masklet.runtime.concepts.delayed_results import PendingConcepts
from masklet.runtime.concepts.detector import ConceptDetector, Detections
from masklet.runtime.concepts.follow import Follower
from masklet.runtime.concepts.lifecycle import Lifecycle, Track
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import PromptError, SpecError, StateError
from masklet.runtime.pixels.geometry import resize_mask
from masklet.runtime.pixels.mask_cleaning import clean
from masklet.runtime.prompts.prompts import Mask, Prompt
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sources.source import Source
from masklet.runtime.tracking.known_policies import Memory
from masklet.runtime.tracking.masklets import Decoded, Masklets
from masklet.runtime.tracking.snapshot import TrackerSnapshot

FIRST_ALONE = (
    "points, boxes and masks cannot be given on the frame with which --text or --exemplar begins: its objects are "
    "found first, and have their ids then; give them on a later frame, as in --point ID@FRAME:X,Y"
)
NO_STATE = "the state of objects that --text or --exemplar found cannot be kept; leave out --state"


def check_for_video(concepts: Iterable[Concept]) -> None:
    """Raise PromptError for what can be looked for in images alone (I: _get_visual_prompt)."""
    for concept in concepts:
        if len(concept.exemplars) > 1:
            count = len(concept.exemplars)
            raise PromptError(f"{concept.name}: a video takes one exemplar a phrase, got {count}; images take more")


def check_refinements(frames: Iterable[int], source: Source) -> None:
    """Raise PromptError for a prompt that comes before there are objects. frames: those of prompts."""
    if any(source.begins_with(frame) for frame in frames):
        raise PromptError(FIRST_ALONE)


class ConceptsReset(UserWarning):
    """Other concepts are looked for, and the objects that were followed are let go."""


class ConceptTracker:
    """Finds every instance of one or several concepts, and follows each through a stream of frames.

        tracker = ConceptTracker(Bundle.load("sam3.bundle"), ["car", "person"])
        for frame in open_source("clip.mp4"):
            for result in tracker.step(frame):
                ...
        for result in tracker.finish():
            ...

    Frames are given in the order of time, each once. Results come `delay` frames late, since an object that turns out
    to be none is left out from its first frame on; ConceptOptions(hotstart=0) has no delay, and removes nothing.
    Objects are numbered from 1. Points, a box or a mask correct one of them or add one: text finds, points refine.
    An exemplar is in the pixels of the frame that is given next; later ones are searched for the phrase alone.
    sessions: a bundle, opened on ONNX Runtime's CPU provider, or sessions that are open already (and then shared).
    Raises SpecError where the model has no detector of concepts or no tracker, PromptError for concepts that cannot be
    looked for.
    """

    def __init__(
        self,
        sessions: Bundle | Sessions,
        concepts: Concept | str | Iterable[Concept | str],
        options: ConceptOptions | None = None,
        detector: ConceptDetector | None = None,
        memory: Memory = None,
    ) -> None:
        """detector: shared by the trackers of several streams, so that a phrase is encoded once for all of them.

        memory: the memory policy, as VideoTracker takes it.
        """
        self._sessions = sessions if isinstance(sessions, Sessions) else Sessions.open(sessions)
        self._options = options or ConceptOptions()
        model = self._sessions.model
        self._detector = detector or ConceptDetector(self._sessions, self._options)
        if model.memory is None:
            raise SpecError(
                f"{model.family}/{model.variant} has no tracker: it finds concepts in images, not in videos"
            )
        self._masklets = Masklets(self._sessions, memory)
        self._look_for(self._checked(concepts_of(concepts)))

    @property
    def delay(self) -> int:
        """Frames by which results lag behind the frames that are given."""
        return self._options.delay

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """What is looked for."""
        return self._concepts

    @property
    def object_ids(self) -> list[int]:
        """The objects that are followed, in the order in which they joined."""
        return list(self._life.tracks)

    def look_for(self, concepts: Concept | str | Iterable[Concept | str]) -> list[FrameResult]:
        """Look for other concepts from the next frame on. Everything starts anew, ids too (I: add_prompt, reset_state).

        Warns (ConceptsReset) of the objects that are let go. Returns the results that were still to come.
        Raises PromptError, before anything has changed, for concepts that cannot be looked for.
        """
        wanted = self._checked(concepts_of(concepts))
        lost = [f"{i} ({self._name(track)})" for i, track in self._life.tracks.items()]
        if lost:
            names = ", ".join(one.name for one in wanted)
            warnings.warn(
                ConceptsReset(f"looking for {names} starts over and lets go of {', '.join(lost)}"), stacklevel=2
            )
        late = self.finish()
        for object_id in self._masklets.bank.object_ids:
            self._masklets.bank.forget(object_id)
        self._look_for(wanted)
        return late

    def step(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[FrameResult]:
        """Find and follow on the next frame. Returns the result that is due, of the frame `delay` frames ago, if any.

        prompts: object id -> prompt in this frame's pixels, as `refine` takes them.
        Raises PromptError, before anything has changed, where a prompt or an exemplar does not fit the frame.
        """
        return [one.result() for one in self.advance(frame, prompts)]

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> list[PendingConcepts]:
        """As `step`, without bringing the masks to the frame's size yet, for a thread beside this one to do so."""
        if prompts and self._first:
            raise PromptError(FIRST_ALONE)
        for object_id, prompt in (prompts or {}).items():
            self._masklets.check(object_id, prompt, frame)
        for concept in self._concepts if self._first else ():
            concept.check(frame.hw)
        self._masklets.begin(frame)
        pending = PendingConcepts(frame, [concept.name for concept in self._concepts])
        removed = self._follower.update(pending, self._detect(frame))
        self._latest = pending
        self._waiting.append(pending)
        for object_id in removed:
            self._take_out(object_id)
        for object_id, prompt in (prompts or {}).items():
            self._prompted(object_id, prompt)
        return self._due(self.delay)

    def finish(self) -> list[FrameResult]:
        """The results that are still to come; after the last frame of a source."""
        return [one.result() for one in self.late()]

    def late(self) -> list[PendingConcepts]:
        """As `finish`, without bringing the masks to the frame's size yet."""
        return self._due(0)

    def refine(self, object_id: int, prompt: Prompt) -> FrameResult:
        """Correct an object on the frame that was last given, or add one, by points, a box or a mask.

        Clicks see the object's present logits but no memory, and stand alone: give earlier ones of the frame again
        where they still hold (I: add_tracker_new_points). What a user touched scores 1, and no rule removes or hides
        it. Returns the frame's result as it is known now; where it is still due, it will come changed.
        Raises PromptError where there is no frame yet or the prompt does not fit it.
        """
        self._masklets.check(object_id, prompt, self._masklets.frame)
        if self._first:
            raise PromptError(FIRST_ALONE)
        self._prompted(object_id, prompt)
        return self._latest.result()

    def remove(self, object_id: int) -> None:
        """Stop following an object. Raises PromptError where there is none of that id."""
        self._masklets.bank.forget(object_id)
        self._life.remove(object_id)
        self._take_out(object_id)

    def _checked(self, concepts: tuple[Concept, ...]) -> tuple[Concept, ...]:
        """Concepts that can be looked for in videos; their phrases are encoded now."""
        check_for_video(concepts)
        self._detector.read(concepts)
        return concepts

    def _look_for(self, concepts: tuple[Concept, ...]) -> None:
        self._concepts, self._first = concepts, True
        self._life = Lifecycle(self._options)
        self._follower = Follower(self._masklets, self._life, self._options)
        self._waiting: deque[PendingConcepts] = deque()

    def snapshot(self) -> TrackerSnapshot:
        """Raises StateError: what concepts are followed by cannot be kept."""
        raise StateError(NO_STATE)

    def _detect(self, frame: Frame) -> list[Detections | None]:
        """What the detector finds of each concept; None where, without a phrase, only the first frame was asked for."""
        asked = [n for n, one in enumerate(self._concepts) if self._first or one.phrase is not None]
        wanted = [one if self._first else replace(one, exemplars=()) for one in map(self._concepts.__getitem__, asked)]
        self._first = False
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
            only = 0 if len(self._concepts) == 1 else None
            track = self._life.begin(object_id, only, time, 1.0)
            self._follower.next_id = max(self._follower.next_id, object_id + 1)
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

    def _decoded(self, object_id: int, prompt: Prompt) -> Decoded:
        if isinstance(prompt, Mask):
            mask = resize_mask(prompt.mask, self._masklets.mask_side)
            return self._masklets.from_masks([object_id], mask[None], pinned=True)
        logits = self._follower.logits(object_id)
        earlier = None if logits is None else logits[None]
        return self._masklets.from_points(object_id, prompt, earlier=earlier, with_memory=False, pinned=True)

    def _take_out(self, object_id: int) -> None:
        """Show an object on no frame whose result is still due."""
        for pending in (*self._waiting, self._latest):
            pending.shown.pop(object_id, None)

    def _due(self, delay: int) -> list[PendingConcepts]:
        """Results of which no more than `delay` younger ones have to be known."""
        due = []
        while len(self._waiting) > delay:
            ahead = self._waiting[min(len(self._waiting), self._options.confirm_frames) - 1]
            due.append(self._waiting.popleft().settled(ahead.unconfirmed))
        return due

    def _name(self, track: Track) -> str:
        return "added" if track.concept is None else self._concepts[track.concept].name
