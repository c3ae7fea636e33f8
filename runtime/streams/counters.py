"""What is counted of a stream. captured = processed + dropped + corrupt, once it has ended."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """A stream up to now.

    captured:   frames that its source sent, the corrupt ones among them.
    processed:  frames whose results were written.
    dropped:    frames that were not run, or whose results were not written, because the stream ended before.
    corrupt:    frames that could not be decoded.
    reconnects: how often a lost source was found again.
    """

    captured: int = 0
    processed: int = 0
    dropped: int = 0
    corrupt: int = 0
    reconnects: int = 0

    @property
    def in_flight(self) -> int:
        """Frames that wait or are being worked on."""
        return self.captured - self.processed - self.dropped - self.corrupt
