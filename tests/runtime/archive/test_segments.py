"""Long videos in segments: which frames, whose ids over the seams, and a video that is put together."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.archive.plan import ArchivePlan
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.result_set import SEGMENTS, VideoResult
from masklet.runtime.archive.segments import Segment, Splitting
from masklet.runtime.archive.split_video import SplitVideo, track_segment
from masklet.runtime.archive.track_video import track_video
from masklet.runtime.archive.video import ArchiveVideo
from masklet.runtime.bundle.bundle import BundleChoice
from masklet.runtime.concepts.concept import Concept, Exemplar
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Box
from masklet.runtime.sources.opening import open_source
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
from PIL import Image
from scripted_concepts import Script, disc, sessions

FRAMES, LENGTH, OVERLAP = 26, 10, 4  # frames; a folder has 30 a second
SPLIT = Splitting(LENGTH / 30 / 60, OVERLAP / 30)
WORDS = TrackingRequest({}, (Concept("car"), Concept("dog")), ConceptOptions(hotstart=0))
LATE = ConceptOptions(hotstart=6, hotstart_unmatched=2, hotstart_duplicates=2)
EXEMPLAR = Concept("car", (Exemplar(Box(1, 1, 9, 9)),))
CUT = {"start": 0, "end": None, "stride": 1, "max_side": None}


@pytest.fixture
def clip(tmp_path: Path) -> ArchiveVideo:
    """Frames whose every pixel is their time, as the script reads it."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for frame in Script(FRAMES).frames():
        Image.fromarray(frame.image).save(folder / f"{frame.index}.png")
    return ArchiveVideo(str(folder), WORDS, "clip")


@pytest.fixture
def script() -> Script:
    """A car that is always there and one that ends at the first seam, one that begins there, and a dog on a car."""
    script = Script(FRAMES, phrases=("car", "dog"))
    there = {1: range(FRAMES), 2: range(LENGTH), 3: range(LENGTH, FRAMES), 4: range(FRAMES)}
    where = {1: (9, 10, 5), 2: (22, 20, 4), 3: (22, 8, 3), 4: (9, 10, 5)}
    for actor, times in there.items():
        for t in times:
            x, y, radius = where[actor]
            blob = disc(x + 0.1 * t, y, radius)
            script.see(t, blob, phrase="dog" if actor == 4 else "car", actor=actor)
            script.track(t, actor, blob)
    return script


def test_which_frames(clip: ArchiveVideo) -> None:
    with open_source(clip.source) as source:
        assert SPLIT.segments(source, 0) == [
            Segment(0, 0, 0, 10, 10),
            Segment(1, 6, 10, 20, 14),
            Segment(2, 16, 20, None, 10),
        ]
    with open_source(clip.source, start=1, end=25, stride=2) as source:  # 15 frames/s, 12 frames
        assert [(one.start, one.own, one.end, one.frames) for one in SPLIT.segments(source, 0)] == [
            (1, 1, 11, 5),
            (7, 11, 21, 7),
            (17, 21, 25, 4),
        ]
    with open_source(clip.source) as source:
        assert [(one.end, one.frames) for one in SPLIT.segments(source, 7)] == [(17, 17), (None, 20), (None, 10)]
    with open_source(clip.source, end=10) as source:
        assert len(SPLIT.segments(source, 3)) == 1


def test_ids_over_the_seams(clip: ArchiveVideo, script: Script, tmp_path: Path) -> None:
    """They are those of a run without segments, and so is everything else that is written."""
    result, stitched = split(clip, script, tmp_path / "split")
    whole = plan(tmp_path / "whole")
    wanted = track_video(whole, sessions(script, tmp_path)[0], clip)
    assert stitched == (tmp_path / "whole" / "clip" / "masks.jsonl").read_bytes()
    assert (result.frames, result.corrupt, result.objects) == (wanted.frames, 0, 4) == (FRAMES, 0, wanted.objects)
    assert [path.name for path in (tmp_path / "split" / SEGMENTS).iterdir()] == []


def test_a_false_positive_before_a_seam(clip: ArchiveVideo, script: Script, tmp_path: Path) -> None:
    """A segment looks ahead beyond its end, so that what an uncut run leaves out is left out here, too."""
    script.see(LENGTH - 1, disc(6, 26, 3), actor=5)
    for t in range(LENGTH - 1, FRAMES):
        script.track(t, 5, disc(6, 26, 3))
    late = replace(clip, request=replace(WORDS, found_with=LATE))
    _, stitched = split(late, script, tmp_path / "split")
    whole = plan(tmp_path / "whole")
    track_video(whole, sessions(script, tmp_path)[0], late)
    made, wanted = (
        [[one["segmentation"] for one in json.loads(line)["objects"]] for line in lines.splitlines()]
        for lines in (stitched, (tmp_path / "whole" / "clip" / "masks.jsonl").read_bytes())
    )
    assert made == wanted
    assert len(made[LENGTH - 1]) == 3


def test_an_object_that_comes_back_after_a_seam_is_new(clip: ArchiveVideo, tmp_path: Path) -> None:
    """Nobody saw it on the frames that both segments ran; and two objects do not get one id."""
    script = Script(FRAMES)
    for t in (*range(5), *range(12, FRAMES)):
        script.see(t, disc(9, 10, 5), actor=1)
        script.track(t, 1, disc(9, 10, 5))
    lines = [json.loads(line) for line in split(clip, script, tmp_path / "split")[1].splitlines()]
    assert [[one["id"] for one in line["objects"]] for line in lines] == [[1]] * 5 + [[]] * 7 + [[2]] * 14
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    np.testing.assert_allclose([line["time_s"] for line in lines], np.arange(FRAMES) / 30, atol=1e-6)


def test_a_frame_that_cannot_be_decoded(clip: ArchiveVideo, script: Script, tmp_path: Path) -> None:
    """It is left out, once, and the others keep their ids."""
    result, before = split(clip, script, tmp_path / "split", lost=8)
    lines = [json.loads(line) for line in before.splitlines()]
    assert [line["frame"] for line in lines] == [frame for frame in range(FRAMES) if frame != 8]
    assert (result.frames, result.corrupt, result.objects) == (FRAMES - 1, 1, 4)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--text", "car", "--segment", "0.1", "--overlap", "6"],
            "--overlap 6 seconds of --segment 0.1 minutes: wanted",
        ),
        (["--point", "9,10", "--segment", "1"], "clip: --segment splits only what --text finds anew"),
        (["--text", "car", "--segment", "1", "--overlay"], "--overlay is drawn frame by frame"),
        (["--text", "car", "--update-interval", "2"], "clip: --update-interval is for prompted objects"),
    ],
)
def test_bad_input(
    sam3_bundle: Path, clip: ArchiveVideo, tmp_path: Path, cli: Cli, words: list[str], says: str
) -> None:
    code, _, err = cli("archive", sam3_bundle, clip.source, "-o", tmp_path / "out", *words)
    assert (code, err.count("\n")) == (2, 1), err
    assert says in err


def test_an_exemplar_is_of_the_first_frame(clip: ArchiveVideo) -> None:
    with pytest.raises(PromptError, match="known by the memory"):
        SPLIT.check(replace(clip, request=TrackingRequest({}, (EXEMPLAR,))))


def plan(out: Path) -> ArchivePlan:
    return ArchivePlan(BundleChoice(out), "", BackendChoice(), CUT, ResultFolder(out))


def split(clip: ArchiveVideo, script: Script, out: Path, lost: int | None = None) -> tuple[VideoResult, bytes]:
    """Run the segments, the last one first, and put them together; returns the result and the masks file.

    lost: a frame that is in none of them.
    """
    out.mkdir()
    video = SplitVideo(plan(out), SPLIT, clip)
    for segment in reversed(video.segments):
        assert segment in video.unfinished
        made = track_segment(plan(out), sessions(script, out.parent)[0], clip, segment)
        masks = out / SEGMENTS / made.name / "masks.jsonl"
        lines = masks.read_bytes().splitlines(keepends=True)
        masks.write_bytes(b"".join(line for line in lines if json.loads(line)["frame"] != lost))
        assert segment not in video.unfinished
    return video.stitch(), (out / "clip" / "masks.jsonl").read_bytes()
