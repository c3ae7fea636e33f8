"""Requests from other threads: what they do to the tracker is what its own methods do, in order, and no more."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.concepts.concept import Concept
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompts import Points, schedule
from masklet.runtime.results import FrameResult
from masklet.runtime.streams.requests import Effect, LookFor, PromptObject, RemoveObject, UndoLast
from masklet.runtime.streams.steered_tracker import WAITING, EndedError, SteeredTracker
from masklet.runtime.tracking.video_tracker import VideoTracker
from two_discs import two_discs

FRAMES = two_discs(12, 128, (30, 40, 18), (96, 90, 22))
FIRST, SECOND, BESIDE = Points.click(30, 40), Points.click(96, 90), Points.click(60, 60, positive=False)


@pytest.fixture(scope="module")
def sessions(nano_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(nano_bundle))


@pytest.fixture
def steered(sessions: Sessions) -> SteeredTracker:
    return SteeredTracker(VideoTracker(sessions), PromptBook({}, exact=False))


def step(tracker: SteeredTracker, index: int) -> FrameResult:
    return tracker.advance(FRAMES[index])[-1].result()


def same(first: FrameResult, second: FrameResult) -> bool:
    return np.array_equal(first.object_ids, second.object_ids) and np.array_equal(first.masks, second.masks)


def test_prompts_do_what_refine_does_on_the_next_frame(sessions: Sessions, steered: SteeredTracker) -> None:
    plain = VideoTracker(sessions)
    assert len(step(steered, 0)) == len(plain.step(FRAMES[0])) == 0
    first, second = steered.ask(PromptObject(None, FIRST)), steered.ask(PromptObject(None, SECOND))
    plain.step(FRAMES[1])
    plain.refine(1, FIRST)
    assert same(step(steered, 1), plain.refine(2, SECOND))
    assert (first.result(), second.result()) == (Effect(1, 1), Effect(1, 2))
    assert same(step(steered, 2), plain.step(FRAMES[2]))
    corrected = steered.ask(PromptObject(1, BESIDE))
    plain.step(FRAMES[3])
    assert same(step(steered, 3), plain.refine(1, BESIDE))
    assert corrected.result() == Effect(3, 1)
    assert same(step(steered, 4), plain.step(FRAMES[4]))


def test_what_was_given_live_can_be_replayed_from_its_records(sessions: Sessions) -> None:
    book = PromptBook({}, exact=False)
    steered = SteeredTracker(VideoTracker(sessions), book)
    asked = {1: PromptObject(None, FIRST), 3: PromptObject(1, BESIDE), 5: PromptObject(None, SECOND)}
    live = []
    for index in range(8):
        if index in asked:
            steered.ask(asked[index])
        live.append(step(steered, index))
    plan = schedule(record.scheduled() for record in book.live)
    plain = VideoTracker(sessions)
    assert all(same(live[n], plain.step(frame, plan.get(n))) for n, frame in enumerate(FRAMES[:8]))


def test_a_removed_object_is_off_the_next_frame_and_undo_brings_it_back(steered: SteeredTracker) -> None:
    steered.ask(PromptObject(None, FIRST))
    step(steered, 0)
    removed = steered.ask(RemoveObject(1))
    assert len(step(steered, 1)) == 0
    assert removed.result() == Effect(1, 1)
    undone = steered.ask(UndoLast())
    assert step(steered, 2).object_ids.tolist() == [1]
    assert undone.result() == Effect(2, 1)


def test_undo_goes_on_from_before_the_prompt(sessions: Sessions, steered: SteeredTracker) -> None:
    """With the correction undone at once, the object goes on as if it had not been given."""
    plain = VideoTracker(sessions)
    steered.ask(PromptObject(None, FIRST))
    plain.step(FRAMES[0])
    plain.refine(1, FIRST)
    step(steered, 0)
    steered.ask(PromptObject(1, BESIDE))
    step(steered, 1)
    plain.step(FRAMES[1])
    assert steered.can_undo
    steered.ask(UndoLast())
    assert same(step(steered, 2), plain.step(FRAMES[2]))
    steered.ask(UndoLast())
    assert len(step(steered, 3)) == 0
    assert not steered.can_undo


def test_what_cannot_be_done_is_told_and_changes_nothing(sessions: Sessions, steered: SteeredTracker) -> None:
    plain = VideoTracker(sessions)
    steered.ask(PromptObject(None, FIRST))
    plain.step(FRAMES[0])
    plain.refine(1, FIRST)
    step(steered, 0)
    bad: list[Callable[[], Future[Effect]]] = [
        lambda: steered.ask(PromptObject(None, Points.click(500, 10))),
        lambda: steered.ask(PromptObject(7, FIRST)),
        lambda: steered.ask(RemoveObject(7)),
        lambda: steered.ask(LookFor((Concept("car"),))),
    ]
    answers = [ask() for ask in bad]
    for index in range(1, 4):
        assert same(step(steered, index), plain.step(FRAMES[index]))
    for answer, words in zip(answers, ("outside the frame", "not tracked", "no object 7", "SAM 3"), strict=True):
        with pytest.raises(PromptError, match=words):
            answer.result(0)


def test_a_request_that_was_withdrawn_does_nothing(steered: SteeredTracker) -> None:
    assert steered.ask(PromptObject(None, FIRST)).cancel()
    assert len(step(steered, 0)) == 0


def test_requests_are_bounded_and_end_with_the_stream(steered: SteeredTracker) -> None:
    answers = [steered.ask(UndoLast()) for _ in range(WAITING)]
    with pytest.raises(PromptError, match="ask again later"):
        steered.ask(UndoLast())
    steered.late()
    for answer in answers:
        with pytest.raises(EndedError):
            answer.result(0)
    with pytest.raises(EndedError):
        steered.ask(UndoLast())
