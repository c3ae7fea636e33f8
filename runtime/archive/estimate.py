"""How long an archive will take, and how much it will write: measured on a few frames of a few of its videos."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

from masklet.runtime.archive.plan import ArchivePlan
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.track_video import fetched, track_video
from masklet.runtime.archive.video import ArchiveVideo, is_address
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.errors import MaskletError, SourceError
from masklet.runtime.sources.opening import open_source

VIDEOS = 3
FRAMES = 60  # of each


@dataclass(frozen=True, slots=True)
class Estimate:
    """frames: of all videos. seconds_per_frame, bytes_per_frame: on one worker. unread: videos without a number of
    frames, for which the mean of the others is taken."""

    videos: int
    frames: int
    seconds_per_frame: float
    bytes_per_frame: float
    unread: int

    def hours(self, workers: int) -> float:
        """The time on a number of workers that do not share cores."""
        return self.frames * self.seconds_per_frame / workers / 3600

    @property
    def bytes(self) -> int:
        """What will be written."""
        return round(self.frames * self.bytes_per_frame)


def estimate(plan: ArchivePlan, sessions: Sessions, videos: Sequence[ArchiveVideo]) -> Estimate:
    """Run the first frames of a few videos, spread over the list, in this process; nothing is kept.

    The first frames are faster than later ones until the memory bank is full. Raises SourceError if no video can be
    read.
    """
    counts = [_frames(plan, video) for video in videos]
    known = [count for count in counts if count]
    sample = [videos[n * len(videos) // VIDEOS] for n in range(VIDEOS)] if len(videos) > VIDEOS else list(videos)
    seconds, sizes, error = [], [], None
    with tempfile.TemporaryDirectory(prefix="masklet-") as folder:
        end = int(plan.cut.get("start", 0)) + FRAMES * int(plan.cut.get("stride", 1))
        cut = {**plan.cut, "end": min(end, plan.cut.get("end") or end)}
        first = replace(plan, out=ResultFolder(Path(folder)), cut=cut)
        for video in sample:
            try:
                result = track_video(first, sessions, _within(video, end))
            except MaskletError as reason:
                error = reason
                continue
            seconds.append(result.seconds / result.frames)
            sizes.append(result.bytes / result.frames)
    if not seconds or not known:
        raise SourceError(f"none of the videos that were tried can be run: {error or 'they have no frames'}")
    unread = len(videos) - len(known)
    frames = round(sum(known) + unread * mean(known))
    return Estimate(len(videos), frames, mean(seconds), mean(sizes), unread)


def _within(video: ArchiveVideo, end: int) -> ArchiveVideo:
    """The video with the prompts of its first frames."""
    early = {frame: prompts for frame, prompts in video.request.schedule.items() if frame < end}
    return replace(video, request=replace(video.request, schedule=early))


def _frames(plan: ArchivePlan, video: ArchiveVideo) -> int | None:
    """The frames of a video that lies here; None for one that would have to be fetched or cannot be read."""
    if is_address(video.source):
        return None
    try:
        with fetched(video.source) as path, open_source(path, **plan.cut) as source:
            return source.frames
    except MaskletError:
        return None
