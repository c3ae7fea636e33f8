"""What a sink is: it takes the results of a run, frame by frame.

Every sink opens its output when it is made, so that a wrong path is found before any work is done; an existing file
is replaced. Whatever ends a run early, what was written up to there stays readable.
"""

from collections.abc import Sequence
from typing import Protocol

from masklet.runtime.closing import Closing
from masklet.runtime.errors import MaskletError
from masklet.runtime.results import Frame, FrameResult


class Sink(Protocol):
    """Takes the results of a run, frame by frame."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Take the result of a frame. Raises SinkError where it cannot be written."""

    def close(self) -> None:
        """Write what is left and close; a second call does nothing."""


class Sinks(Closing):
    """Several sinks as one, for a `with` block."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def write(self, frame: Frame, result: FrameResult) -> None:
        for sink in self._sinks:
            sink.write(frame, result)

    def close(self) -> None:
        """Close all of them, then raise the first error that one of them met."""
        errors: list[MaskletError] = []
        for sink in self._sinks:
            try:
                sink.close()
            except MaskletError as error:
                errors.append(error)
        if errors:
            raise errors[0]
