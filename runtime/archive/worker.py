"""A worker: a process of Ray that opens the sessions once and runs one video after another."""

import os
import socket
from dataclasses import dataclass

from masklet.runtime.archive.object_store import UploadError
from masklet.runtime.archive.plan import ArchivePlan, seal_of
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.segments import Segment
from masklet.runtime.archive.split_video import SplitVideo, track_segment
from masklet.runtime.archive.track_video import track_video
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.errors import BundleError, MaskletError, SinkError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a video, or a segment of one, ended: its result, or one line.

    fatal:    other videos would end like it, for example on a full disk.
    segments: that are to be run before the video can be.
    """

    result: VideoResult | None = None
    segments: tuple[Segment, ...] = ()
    error: str | None = None
    fatal: bool = False


class Worker:
    """Runs videos. Errors are returned, so that they are one line on the other side, whatever pickles."""

    def __init__(self, plan: ArchivePlan) -> None:
        self._plan = plan
        self._sessions: Sessions | None = None

    def open(self) -> tuple[int, str | None]:
        """Open the sessions. Returns the id of this process, and the error in one line if they cannot be opened."""
        try:
            bundle = self._plan.bundle.load()
            if seal_of(bundle.root) != self._plan.seal:
                raise BundleError(
                    f"{bundle.root}: is another bundle on {socket.gethostname()} than where the archive was started; "
                    "copy it there"
                )
            self._sessions = self._plan.backend.sessions(bundle, lambda line: None)
        except MaskletError as error:
            return os.getpid(), str(error)
        return os.getpid(), None

    def run(self, video: ArchiveVideo, segment: Segment | None = None) -> Outcome:
        """Run a video, or a segment of it; a video that is to be split is put together when its segments are there."""
        if self._sessions is None:
            return Outcome(error="the worker has no open sessions", fatal=True)
        try:
            return self._run(self._sessions, video, segment)
        except MaskletError as error:
            return Outcome(error=str(error), fatal=isinstance(error, SinkError) and not isinstance(error, UploadError))
        except Exception as error:
            return Outcome(error=f"a bug in masklet: {type(error).__name__}: {error}")

    def _run(self, sessions: Sessions, video: ArchiveVideo, segment: Segment | None) -> Outcome:
        if segment is not None:
            return Outcome(track_segment(self._plan, sessions, video, segment))
        if self._plan.split is not None:
            split = SplitVideo(self._plan, self._plan.split, video)
            if len(split.segments) > 1:
                unfinished = split.unfinished
                return Outcome(segments=unfinished) if unfinished else Outcome(split.stitch())
        return Outcome(track_video(self._plan, sessions, video))
