"""A long video in segments: which of them are still to be run, one of them, and the result set of them all."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from masklet.runtime.archive.plan import ArchivePlan
from masklet.runtime.archive.result_set import SEGMENTS, VideoResult
from masklet.runtime.archive.seams import stitched
from masklet.runtime.archive.segments import Segment, Splitting
from masklet.runtime.archive.track_video import MASKS, Ran, check_end, fetched, track_video, write_result_set
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.sources.opening import open_source


def track_segment(plan: ArchivePlan, sessions: Sessions, video: ArchiveVideo, segment: Segment) -> VideoResult:
    """Run a segment as if it were a video, into a result set that is complete or not there."""
    alone, part = _part(plan, video, segment)
    return track_video(alone, sessions, part)


class SplitVideo:
    """The segments of a video, which are one if it is short. Raises SourceError if it cannot be read."""

    def __init__(self, plan: ArchivePlan, split: Splitting, video: ArchiveVideo) -> None:
        self._plan, self._video = plan, video
        with fetched(video.source) as path, open_source(path, **plan.cut) as source:
            check_end(source, video)
            self._frames = source.frames or 0
            self.segments = split.segments(source, video.request.found_with.delay)

    @property
    def unfinished(self) -> tuple[Segment, ...]:
        """The segments that are still to be run."""
        return tuple(segment for segment in self.segments if self._result(segment) is None)

    def stitch(self) -> VideoResult:
        """Write the result set of the video from those of its segments, which are then removed.

        All must be finished. Raises SinkError if it cannot be written.
        """
        result = write_result_set(self._plan, self._video, self._write)
        self._plan.out.within(SEGMENTS).remove(Segment.pattern(self._video.name))
        return result

    def _write(self, folder: Path) -> Ran:
        results = [result for segment in self.segments if (result := self._result(segment)) is not None]
        segments, frames, ids = self._plan.out.within(SEGMENTS), 0, set[int]()
        with tempfile.TemporaryDirectory(prefix="masklet-") as scratch, (folder / MASKS).open("wb") as file:
            masks = [segments.copy_here(f"{result.name}/{MASKS}", Path(scratch)) for result in results]
            for line in stitched(list(zip(self.segments, masks, strict=True))):
                file.write(json.dumps(line).encode() + b"\n")
                frames += 1
                ids.update(one["id"] for one in line["objects"])
        cut_off = results[-1].frames + results[-1].corrupt - self.segments[-1].frames
        return Ran(frames, self._frames - frames + cut_off, len(ids), sum(result.seconds for result in results))

    def _result(self, segment: Segment) -> VideoResult | None:
        plan, part = _part(self._plan, self._video, segment)
        return plan.finished(part)


def _part(plan: ArchivePlan, video: ArchiveVideo, segment: Segment) -> tuple[ArchivePlan, ArchiveVideo]:
    """A segment as a video of an archive of its own."""
    cut = {**plan.cut, "start": segment.start, "end": segment.end}
    alone = replace(plan, cut=cut, out=plan.out.within(SEGMENTS), format="jsonl", split=None)
    return alone, replace(video, name=segment.name_in(video.name))
