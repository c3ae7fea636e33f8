"""A worker: a process of Ray that opens the sessions once and runs one video after another."""

import os
import socket
from dataclasses import dataclass

from masklet.runtime.archive.plan import ArchivePlan, seal_of
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.track_video import track_video
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.errors import BundleError, MaskletError, SinkError


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a video ended: its result, or one line. fatal: other videos would end like it, for example on a full disk."""

    result: VideoResult | None = None
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

    def run(self, video: ArchiveVideo) -> Outcome:
        """Run a video."""
        if self._sessions is None:
            return Outcome(error="the worker has no open sessions", fatal=True)
        try:
            return Outcome(track_video(self._plan, self._sessions, video))
        except MaskletError as error:
            return Outcome(error=str(error), fatal=isinstance(error, SinkError))
        except Exception as error:
            return Outcome(error=f"a bug in masklet: {type(error).__name__}: {error}")
