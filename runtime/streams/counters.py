"""Frame counters of a stream. After its end: captured = processed + dropped + corrupt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Counters of a stream up to now.

    captured:   frames that the source sent, including corrupt ones.
    processed:  frames whose results were written.
    dropped:    frames that were not run, or whose results were not written because the stream ended first.
    corrupt:    frames that could not be decoded.
    reconnects: number of reconnections to a lost source.
    """

    captured: int = 0
    processed: int = 0
    dropped: int = 0
    corrupt: int = 0
    reconnects: int = 0

    @property
    def in_flight(self) -> int:
        """Number of frames that are waiting or being processed."""
        return self.captured - self.processed - self.dropped - self.corrupt
