"""A tracker around a tracker: what other threads ask for is done between two frames."""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial

from masklet.runtime.concepts.concept import Concept
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame
from masklet.runtime.streams.requests import Effect, LookFor, PromptObject, RemoveObject, StreamRequest
from masklet.runtime.tracking.snapshot import ObjectSnapshot, TrackerSnapshot
from masklet.runtime.tracking.tracker import CorrectableTracker, Pending

WAITING = 64  # requests that wait for the next frame at most
UNDOABLE = 8  # requests that can be undone; each holds an object's memories


class EndedError(PromptError):
    """A stream that has ended was asked for something."""


Asked = tuple[StreamRequest, "Future[Effect]"]


@dataclass(frozen=True, slots=True, eq=False)
class _Undoable:
    """An object before a request: its memories, None where it was not there; and the prompts that were given then."""

    object_id: int
    before: ObjectSnapshot | None
    given: tuple[PromptRecord, ...]


class SteeredTracker:
    """Passes frames on to another tracker, and does before and after each what was asked for meanwhile.

    Removals, undoing and other concepts are done before the next frame, prompts on it, after it was tracked: so they
    correct what was tracked onto it (`refine`). Requests keep their order.

    book:     notes the prompts that were given, for the stream's state.
    look_for: makes the tracker for other concepts; None where the model cannot look for any.
    on_asked: is called, by whichever thread asks, when a request waits.
    """

    def __init__(
        self,
        tracker: CorrectableTracker,
        book: PromptBook,
        look_for: Callable[[tuple[Concept, ...]], CorrectableTracker] | None = None,
        on_asked: Callable[[], None] = lambda: None,
    ) -> None:
        self._tracker, self._book, self._look_for, self._on_asked = tracker, book, look_for, on_asked
        self._waiting: deque[Asked] = deque()
        self._lock = threading.Lock()
        self._ended = False
        self._highest = book.highest_id
        self._undoable: deque[_Undoable] = deque(maxlen=UNDOABLE)

    @property
    def object_ids(self) -> list[int]:
        return self._tracker.object_ids

    @property
    def ended(self) -> bool:
        """Whether the stream's last frame was given."""
        return self._ended

    @property
    def can_undo(self) -> bool:
        """Whether there is a request to undo."""
        return bool(self._undoable)

    def ask(self, request: StreamRequest) -> "Future[Effect]":
        """Have something done with the next frame; any thread may ask.

        The future ends with a MaskletError where it cannot be done, which changes nothing. Raises EndedError where
        the stream has ended, PromptError where too many requests wait.
        """
        answer: Future[Effect] = Future()
        with self._lock:
            if self._ended:
                raise EndedError("the stream has ended; nothing can be asked of it any more")
            if len(self._waiting) >= WAITING:
                raise PromptError(f"{WAITING} requests wait for the next frame already; ask again later")
            self._waiting.append((request, answer))
        self._on_asked()
        return answer

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> Sequence[Pending]:
        late = self._before(frame)
        due = [*late, *self._tracker.advance(frame, prompts)]
        self._highest = max(self._highest, *self.object_ids, 0)
        if self._on(frame) and due and due[-1].frame is frame:
            due[-1] = self._tracker.current()
        return due

    def remove(self, object_id: int) -> None:
        self._tracker.remove(object_id)

    def late(self) -> Sequence[Pending]:
        with self._lock:
            self._ended = True
        while self._waiting:
            _, answer = self._waiting.popleft()
            if answer.set_running_or_notify_cancel():
                answer.set_exception(EndedError("the stream ended before its next frame"))
        return self._tracker.late()

    def snapshot(self) -> TrackerSnapshot:
        return self._tracker.snapshot()

    def _before(self, frame: Frame) -> list[Pending]:
        """Do what is asked for before a frame, up to the first prompt. Returns results that are due because of it."""
        late: list[Pending] = []
        while self._waiting and not isinstance(self._waiting[0][0], PromptObject):
            request, answer = self._waiting.popleft()
            if isinstance(request, LookFor):
                self._answer(answer, partial(self._changed, request, frame, late))
            elif isinstance(request, RemoveObject):
                self._answer(answer, partial(self._removed, request, frame))
            else:
                self._answer(answer, partial(self._undone, frame))
        return late

    def _on(self, frame: Frame) -> bool:
        """Give the prompts that wait on a frame that was tracked. Returns whether any was given."""
        changed = False
        for _ in range(WAITING):
            request, answer = self._waiting[0] if self._waiting else (None, None)
            if answer is None or not isinstance(request, PromptObject):
                break
            self._waiting.popleft()
            changed |= self._answer(answer, partial(self._prompted, request, frame))
        return changed

    def _answer(self, answer: "Future[Effect]", do: Callable[[], Effect]) -> bool:
        """Do what is asked for, unless who asked has given up. Returns whether it was done."""
        if not answer.set_running_or_notify_cancel():
            return False
        try:
            effect = do()
        except Exception as error:  # whatever it is, who asked hears of it, and the stream goes on
            answer.set_exception(error)
            return False
        answer.set_result(effect)
        return True

    def _prompted(self, request: PromptObject, frame: Frame) -> Effect:
        object_id = self._highest + 1 if request.object_id is None else request.object_id
        known = object_id in self.object_ids
        if not known and request.object_id is not None:
            raise PromptError(f"object {object_id} is not tracked any more; there are {self.object_ids or 'none'}")
        undoable = _Undoable(object_id, self._tracker.object_snapshot(object_id) if known else None, self._book.live)
        self._tracker.refine(object_id, request.prompt)
        self._undoable.append(undoable)
        self._highest = max(self._highest, object_id)
        record = PromptRecord.of(frame.index, object_id, replace(request.prompt, corrects=True))
        self._book.live = (*self._book.live, record)
        return Effect(frame.index, object_id)

    def _removed(self, request: RemoveObject, frame: Frame) -> Effect:
        object_id = request.object_id
        undoable = _Undoable(object_id, self._tracker.object_snapshot(object_id), self._book.live)
        self._tracker.remove(object_id)
        self._undoable.append(undoable)
        self._book.live = tuple(one for one in self._book.live if one.object != object_id)
        return Effect(frame.index, object_id)

    def _undone(self, frame: Frame) -> Effect:
        if not self._undoable:
            raise PromptError("there is nothing to undo")
        last = self._undoable.pop()
        if last.before is not None:
            self._tracker.put_back(last.before)
        elif last.object_id in self.object_ids:
            self._tracker.remove(last.object_id)
        self._book.live = last.given
        return Effect(frame.index, last.object_id)

    def _changed(self, request: LookFor, frame: Frame, late: list[Pending]) -> Effect:
        if self._look_for is None:
            raise PromptError("the model of this bundle does not look for phrases; export one of SAM 3 for that")
        tracker = self._look_for(request.concepts)
        late += self._tracker.late()
        self._tracker, self._highest = tracker, 0
        self._undoable.clear()
        self._book.live = ()
        return Effect(frame.index)
