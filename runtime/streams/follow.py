"""Runs frames and their prompts through a tracker."""

from collections.abc import Iterable, Iterator

from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.tracking.tracker import Tracker


def follow(tracker: Tracker, frames: Iterable[Frame], schedule: Schedule) -> Iterator[tuple[Frame, FrameResult]]:
    """Run frames through a tracker and give each prompt on its frame.

    Raises PromptError after the last frame if the frame of a prompt did not come.
    """
    pending = dict(schedule)
    for frame in frames:
        for due in tracker.advance(frame, pending.pop(frame.index, None)):
            yield due.frame, due.result()
    for due in tracker.late():
        yield due.frame, due.result()
    if pending:
        raise PromptError(f"prompts for frame {min(pending)} were not used: that frame did not come")
