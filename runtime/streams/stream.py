"""One stream of a run: capture thread, tracker, writer thread, prompts and state."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from masklet.runtime.errors import StateError
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.results import Frame
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.sources.source import Source
from masklet.runtime.streams.capture import Capture
from masklet.runtime.streams.counters import Counts
from masklet.runtime.streams.frame_queue import Captured, Policy
from masklet.runtime.streams.pace import Pace
from masklet.runtime.streams.sightings import Sightings
from masklet.runtime.streams.state import StreamState, save_state
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.streams.writer import Done, OnWritten, Writer
from masklet.runtime.tracking.tracker import Pending, Tracker


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a stream saves its state: path, interval in seconds, and bundle and source as in StreamState."""

    path: Path
    every_s: float
    bundle: str
    source: str


class Stream:
    """A stream. `advance` processes one frame and must be called on the thread that owns the sessions.

    Capture and writing run in threads of their own.

    number:     from 1, in the order of the command line.
    keeping:    how to save the state; None for not at all.
    on_written: called for each frame once its results are written.
    pace:       when the next frame may be taken; as soon as there is one where None.
    error:      the error that ended the stream early, if any.
    sightings:  which objects are visible, and when each was last seen.
    """

    def __init__(
        self,
        number: int,
        source: Source,
        tracker: Tracker,
        prompts: PromptBook,
        sinks: Sinks,
        policy: Policy,
        wake_up: WakeUp,
        *,
        keeping: Keeping | None = None,
        on_written: OnWritten = lambda captured, at_s: None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.number, self.source = number, source
        self.error: Exception | None = None
        self._tracker, self._prompts, self._keeping, self._clock = tracker, prompts, keeping, clock
        self._capture = Capture(source, policy, wake_up, clock)
        self.sightings = Sightings(lambda what, details: source.tell(what, details))
        self._writer = Writer(Sinks([sinks, self.sightings]), wake_up, on_written, clock)
        self._wake_up, self._pace = wake_up, pace
        self._latest: Frame | None = None
        self._behind: deque[Captured] = deque()  # processed frames whose results are still delayed
        self._kept_s = clock()
        self._failed_frames = 0

    @property
    def name(self) -> str:
        return self.source.name

    def start(self) -> None:
        self._capture.start()
        self._writer.start()

    @property
    def ready(self) -> bool:
        """Whether a frame is waiting and may be taken, and the writer has room for its result."""
        waiting = self._capture.waiting > 0 and self._writer.has_room
        return waiting and (self._pace is None or self._pace.due)

    @property
    def over(self) -> bool:
        """Whether no frame is left to process."""
        return self.error is not None or self._writer.error is not None or self._capture.ended

    @property
    def silent_s(self) -> float:
        """Seconds since the latest frame; 0 if a frame is waiting or no more will come."""
        return 0.0 if self._capture.waiting or self._capture.ended else self._clock() - self._capture.last_s

    @property
    def objects(self) -> int:
        """Number of tracked objects."""
        return len(self._tracker.object_ids)

    @property
    def counts(self) -> Counts:
        corrupt, capture, writer = self.source.corrupt, self._capture, self._writer
        return Counts(
            captured=capture.came + corrupt,
            processed=writer.processed,
            dropped=capture.dropped + writer.dropped + self._failed_frames,
            corrupt=corrupt,
            reconnects=self.source.reconnects,
        )

    def advance(self) -> None:
        """Process the waiting frame. An error ends this stream only."""
        captured = self._capture.take()
        if captured is None:
            return
        if self._pace is not None:
            self._pace.took()
        try:
            self._step(captured)
        except Exception as error:
            self._failed_frames += 1
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the stream with an error, unless it already has one."""
        self.error = self.error or error
        self._wake_up.set()

    def finish(self, *, stopped: bool) -> None:
        """Stop capturing, write finished results and the state. stopped: ended before the end of the source."""
        self._capture.stop()
        self._put(self._tracker.late())
        self._keep()
        self._writer.close()
        self._capture.join()
        self.error = self.error or self._writer.error or self._capture.error
        if self.error is None and not stopped:
            try:
                self._prompts.check_used()
            except Exception as error:
                self.error = error

    def _step(self, captured: Captured) -> None:
        for object_id in set(self._prompts.leaving(captured.frame.index)) & set(self._tracker.object_ids):
            self._tracker.remove(object_id)
        prompts = self._prompts.due(captured.frame.index)
        self._behind.append(captured)
        self._put(self._tracker.advance(captured.frame, prompts))
        self._latest = captured.frame
        if self._keeping is not None and self._clock() - self._kept_s >= self._keeping.every_s:
            self._keep()

    def _put(self, due: Sequence[Pending]) -> None:
        """Pass results to the writer, in the order of their frames."""
        for pending in due:
            self._writer.put(Done(self._behind.popleft(), pending))

    def _keep(self) -> None:
        """Save the state once all results up to now are written, so that state and results always agree."""
        keeping, frame = self._keeping, self._latest
        if keeping is None or frame is None or self.error is not None:
            return
        self._kept_s = self._clock()
        state = StreamState(
            keeping.bundle,
            keeping.source,
            frame.index,
            frame.time_s,
            list(self._prompts.given),
            self._tracker.snapshot(),
            list(self._prompts.live),
            dict(self._prompts.names),
        )
        self._writer.put(lambda: self._save(keeping.path, state))

    def _save(self, path: Path, state: StreamState) -> None:
        """Save the state; a full disk is logged and does not stop tracking."""
        try:
            save_state(path, state)
        except StateError as error:
            self.source.tell("unsaved", str(error))
