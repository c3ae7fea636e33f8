"""The Sink protocol: takes the results of a run, frame by frame.

Every sink opens its output when it is made, so that a wrong path is found before any work; an existing file is
replaced. If a run ends early, everything written up to then stays readable.
"""

from collections.abc import Sequence
from typing import Protocol

from masklet.runtime.closing import Closing
from masklet.runtime.errors import MaskletError
from masklet.runtime.results import Frame, FrameResult


class Sink(Protocol):
    """Takes the results of a run, frame by frame."""

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Write the result of a frame. Raises SinkError if it cannot be written."""

    def close(self) -> None:
        """Write the rest and close; a second call does nothing."""


class Sinks(Closing):
    """Several sinks as one, for a `with` block."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def write(self, frame: Frame, result: FrameResult) -> None:
        for sink in self._sinks:
            sink.write(frame, result)

    def close(self) -> None:
        """Close all sinks, then raise the first error, if any."""
        errors: list[MaskletError] = []
        for sink in self._sinks:
            try:
                sink.close()
            except MaskletError as error:
                errors.append(error)
        if errors:
            raise errors[0]
