"""Segments: parts of a long video that different workers run, where phrases find its objects anew in each."""

import glob
from dataclasses import dataclass

from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.errors import PromptError
from masklet.runtime.sources.source import Source


@dataclass(frozen=True, slots=True)
class Splitting:
    """How long videos are split. minutes: of a segment. overlap_s: seconds that it begins before its own frames.

    Raises PromptError for a segment without frames of its own.
    """

    minutes: float
    overlap_s: float

    def __post_init__(self) -> None:
        if not 0 < self.overlap_s < self.minutes * 60:
            raise PromptError(
                f"--overlap {self.overlap_s:g} seconds of --segment {self.minutes:g} minutes: wanted more than 0 and "
                "less than a segment"
            )

    def check(self, video: ArchiveVideo) -> None:
        """Raise PromptError for a video whose objects are not all found by phrases."""
        if video.request.schedule or any(concept.exemplars for concept in video.request.concepts):
            raise PromptError(
                f"{video.source}: --segment splits only what --text finds anew in every segment; a prompted object is "
                "known by the memory of the frames before, so leave --segment out"
            )

    def segments(self, source: Source, late: int) -> list["Segment"]:
        """The segments of a source of files; one if it is not longer.

        late: frames that a tracker looks ahead, which are run after the own ones (`ConceptOptions.delay`).
        """
        length = max(1, round(self.minutes * 60 * source.fps))
        overlap = min(length, max(1, round(self.overlap_s * source.fps)))
        cut, count = source.cut, source.frames or 0
        segments = []
        for number, own in enumerate(range(0, count, length)):
            first, last = max(0, own - overlap), min(own + length + late, count)
            start, mine = (cut.start + place * cut.stride for place in (first, own))
            end = cut.end if last == count else cut.start + last * cut.stride
            segments.append(Segment(number, start, mine, end, last - first))
        return segments


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video. Frames are indices of the source, from 0.

    number: from 0.
    start:  the first frame that is run. own: the first one whose result counts; those before it warm up the tracker,
            and are those of the segment before, too. Its own frames end where those of the next one begin.
    end:    of the frames that are run, as `open_source` takes it: exclusive, None for the end of the source.
    frames: how many are run.
    """

    number: int
    start: int
    own: int
    end: int | None
    frames: int

    def name_in(self, video: str) -> str:
        """The name of its result set."""
        return f"{video}.{self.number:05d}"

    @staticmethod
    def pattern(video: str) -> str:
        """What the names of the result sets of a video's segments match, as `glob` takes it."""
        return f"{glob.escape(video)}.{'[0-9]' * 5}"
