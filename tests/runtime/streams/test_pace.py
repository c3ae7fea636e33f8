"""When frames may pass."""

import time

from fake_feeds import Clock
from masklet.runtime.streams.pace import Pace
from masklet.runtime.streams.wake_up import WakeUp


def test_a_paused_stream_passes_the_frames_that_are_asked_for() -> None:
    pace = Pace(WakeUp(), 10.0, paused=True)
    assert pace.due, "the first frame is to be seen"
    pace.took()
    assert not pace.due
    pace.step(2)
    pace.step(1)
    for _ in range(2):
        assert pace.due
        pace.took()
    assert not pace.due
    pace.pause(False)
    assert pace.due
    pace.step()
    pace.pause(True)
    assert not pace.due


def test_real_time_keeps_to_the_rate_and_rings_when_it_is_time() -> None:
    clock, wake_up = Clock(), WakeUp()
    pace = Pace(wake_up, 10.0, clock=clock)
    assert pace.due
    pace.run_in_real_time(True)
    wake_up.wait(0)
    passed = []
    for _ in range(60):
        if pace.due:
            pace.took()
            passed.append(round(clock.now_s - 100.0, 3))
        clock.now_s += 0.01
    assert passed[-1] - passed[0] == 0.5
    assert len(passed) == 6, "ten a second"
    began_s = time.perf_counter()
    wake_up.wait(5)
    assert time.perf_counter() - began_s < 2, "the timer rings"
