"""A budget is kept along recorded steps: when frames take too long, when there is room again, and what is said."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
import pytest
from masklet.runtime.bundle.tuning import Attending, Step
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.results import Frame
from masklet.runtime.streams.budgeted_tracker import WINDOW, AttendingTracker, BudgetedTracker
from masklet.runtime.tracking.tracker import Pending

STEPS = (
    Step(Attending(), ms=40, loss=0.0),
    Step(Attending(memory_frames=2), ms=30, loss=0.3),
    Step(Attending(memory_frames=1, update_interval=2), ms=20, loss=1.0),
    Step(Attending(memory_frames=1, update_interval=3), ms=10, loss=3.0),
)


class Costly:
    """A tracker whose frames take as long as its step says for one object, and as much more for each other one."""

    def __init__(self) -> None:
        self.now_s, self.objects, self.attending = 0.0, 1, Attending()

    def attend(self, attending: Attending) -> None:
        self.attending = attending

    def advance(self, frame: Frame, prompts: Mapping[int, Prompt] | None = None) -> Sequence[Pending]:
        ms = next(step.ms for step in STEPS if step.attending == self.attending)
        self.now_s += ms * self.objects / 1e3
        return []


class Run:
    """A budgeted tracker from a step on, with what it said."""

    def __init__(self, target_ms: float, first: int = 0) -> None:
        self.tracker, self.said, self.at, self.number = Costly(), list[tuple[int, str]](), first, 0
        self.budgeted = BudgetedTracker(
            cast(AttendingTracker, self.tracker),
            STEPS,
            first,
            target_ms,
            stepped=lambda at, why: self.said.append((at, why)),
            clock=lambda: self.tracker.now_s,
        )

    def frames(self, count: int, objects: int = 1) -> list[int]:
        """Pass frames; returns the step after each."""
        self.tracker.objects, steps = objects, []
        for _ in range(count):
            self.budgeted.advance(Frame(self.number, self.number / 30, np.zeros((4, 4, 3), np.uint8)))
            self.number += 1
            steps.append(next(n for n, step in enumerate(STEPS) if step.attending == self.tracker.attending))
        return steps


def test_it_begins_with_the_tuned_step_and_stays_within_the_budget() -> None:
    run = Run(target_ms=32, first=1)
    assert run.frames(200) == [1] * 200
    assert run.said == []


def test_objects_that_join_take_it_along_the_steps_and_leaving_back() -> None:
    run = Run(target_ms=45)
    assert set(run.frames(100)) == {0}
    joined = run.frames(6 * WINDOW, objects=2)  # 80, 60 and 40 ms a frame at the first three steps
    assert joined == sorted(joined)
    assert joined[-1] == 2
    assert joined[0] == 0  # one slow frame is none
    left = run.frames(6 * WINDOW)
    assert left == sorted(left, reverse=True)
    assert left[-1] == 0
    assert [at for at, _ in run.said] == [1, 2, 1, 0]
    assert run.said[0][1].startswith("frames took ")
    assert run.said[0][1].endswith(" ms of 45.0: 2 recent frames")
    assert run.said[1][1].endswith("1 recent frames, objects are segmented every 2 frames")


def test_it_does_not_go_to_and_fro() -> None:
    """At 30 ms there would be no room for 40: it stays, though it is well within the budget."""
    run = Run(target_ms=41, first=1)
    assert set(run.frames(20 * WINDOW)) == {1}


def test_the_fastest_step_is_the_last() -> None:
    run = Run(target_ms=1)
    run.frames(20 * WINDOW)
    assert [at for at, _ in run.said] == [1, 2, 3]


@pytest.mark.parametrize("name", ["object_ids", "late", "current", "refine", "remove", "object_snapshot", "snapshot"])
def test_everything_else_is_the_trackers(name: str) -> None:
    run = Run(target_ms=1)
    called: list[tuple[object, ...]] = []
    takes = {"refine": (1, "prompt"), "remove": (1,), "object_snapshot": (1,)}.get(name, ())
    if name == "object_ids":
        run.tracker.object_ids = [3]  # type: ignore[attr-defined]
        assert run.budgeted.object_ids == [3]
        return
    setattr(run.tracker, name, lambda *words: called.append(words))
    getattr(run.budgeted, name)(*takes)
    assert called == [takes]
