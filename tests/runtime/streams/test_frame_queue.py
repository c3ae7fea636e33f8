"""Two policies of one queue, and the watchdog beside it."""

import threading

import pytest
from fake_feeds import frames
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.streams.frame_queue import AHEAD, Captured, FrameQueue, Policy
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.streams.watchdog import Watchdog

FRAMES = [Captured(frame, frame.time_s) for frame in frames(60)]


def taken(queue: FrameQueue) -> list[int]:
    found = []
    while (captured := queue.take()) is not None:
        found.append(captured.frame.index)
    return found


def test_the_newest_frame_replaces_the_one_that_waits() -> None:
    queue = FrameQueue(Policy.NEWEST, WakeUp())
    for captured in FRAMES[:5]:
        assert queue.put(captured)
    assert taken(queue) == [4]
    assert (queue.came, queue.dropped) == (5, 4)


def test_every_frame_makes_the_source_wait() -> None:
    queue = FrameQueue(Policy.EVERY, WakeUp())
    source = threading.Thread(target=lambda: [queue.put(captured) for captured in FRAMES])
    source.start()
    found: list[int] = []
    while len(found) < len(FRAMES):
        assert len(queue) <= AHEAD
        found += taken(queue)
    source.join()
    assert found == list(range(len(FRAMES)))
    assert (queue.came, queue.dropped) == (len(FRAMES), 0)


@pytest.mark.parametrize("policy", Policy)
def test_closing_drops_what_waits_and_frees_the_source(policy: Policy) -> None:
    queue = FrameQueue(policy, WakeUp())
    source = threading.Thread(target=lambda: [queue.put(captured) for captured in FRAMES])
    source.start()
    while not len(queue):
        pass
    queue.close()
    source.join(10)
    assert not source.is_alive()
    assert queue.put(FRAMES[0]) is False
    assert queue.take() is None
    assert queue.came == queue.dropped == len(FRAMES) + 1


@given(st.lists(st.booleans(), max_size=60))
def test_what_came_was_taken_or_dropped_and_stays_in_order(puts: list[bool]) -> None:
    queue = FrameQueue(Policy.NEWEST, WakeUp())
    coming, found = iter(FRAMES), list[int]()
    for put in puts:
        if put:
            queue.put(next(coming))
        else:
            captured = queue.take()
            found += [captured.frame.index] if captured else []
    queue.close()
    assert queue.came == len(found) + queue.dropped
    assert found == sorted(set(found))


def test_a_watchdog_speaks_up_and_does_not_nag() -> None:
    dog = Watchdog(5)
    said = {second: said for second in range(50) if (said := dog.look(second))}
    assert list(said) == [5, 10, 20, 40]
    assert said[20] == ("silent", "no frame has come for 20 s")
    assert dog.look(0.1) == ("back", "frames are back")
    assert dog.look(0.1) is None
    assert dog.look(5.5) == ("silent", "no frame has come for 6 s")
