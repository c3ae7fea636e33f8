"""What sinks write is read back by pycocotools, Pillow and FFmpeg, also where the run ended too early."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.pixels.overlay import colour, draw
from masklet.runtime.prompts.prompts import Box, Mask, Points, Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.json_lines import MasksJsonl, object_records
from masklet.runtime.sinks.mask_pngs import MaskPngs
from masklet.runtime.sinks.overlay_video import OverlayVideo, whole_fragments
from masklet.runtime.sinks.prompt_marks import draw_prompts
from masklet.runtime.sinks.sink import Sink, Sinks
from masklet.runtime.sources.opening import open_source
from moving_object import moving, result
from PIL import Image
from pycocotools import mask as coco

U8 = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def decoded(path: Path) -> list[U8]:
    with av.open(path) as container:
        return [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in container.decode(video=0)]


@given(arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 30), st.integers(1, 30))))
@settings(deadline=None)
def test_pycocotools_reads_every_mask(masks: BoolArray) -> None:
    for mask, record in zip(masks, object_records(result(0, masks)), strict=True):
        np.testing.assert_array_equal(coco.decode(record["segmentation"]).astype(bool), mask)
        want = coco.toBbox(record["segmentation"]).tolist() if mask.any() else [0, 0, 0, 0]
        assert record["bbox"] == want
        assert record["segmentation"]["size"] == list(mask.shape)


def test_a_line_is_as_documented(tmp_path: Path) -> None:
    with Sinks([MasksJsonl(tmp_path / "masks.jsonl")]) as sink:
        sink.write(*moving(3))
        sink.write(Frame(4, 0.16, np.zeros((96, 160, 3), np.uint8)), result(4, np.zeros((0, 96, 160), bool)))
    first, second = lines(tmp_path / "masks.jsonl")
    assert list(first) == ["frame", "time_s", "objects"]
    assert (first["frame"], first["time_s"]) == (3, 0.12)
    assert [list(o) for o in first["objects"]] == [["id", "score", "bbox", "segmentation"]] * 2
    assert [o["id"] for o in first["objects"]] == [1, 7]
    assert [o["score"] for o in first["objects"]] == [0.9, 0.5]
    assert first["objects"][0]["bbox"] == [13, 20, 40, 40]
    assert second == {"frame": 4, "time_s": 0.16, "objects": []}


def test_an_object_out_of_sight_stays_with_an_empty_mask(tmp_path: Path) -> None:
    (_, lost) = object_records(moving(0)[1])
    assert lost["bbox"] == [0, 0, 0, 0]
    assert coco.decode(lost["segmentation"]).shape == (96, 160)
    assert not coco.decode(lost["segmentation"]).any()


def test_lines_are_there_as_soon_as_they_are_written(tmp_path: Path) -> None:
    sink = MasksJsonl(tmp_path / "masks.jsonl")
    for index in range(3):
        sink.write(*moving(index))
        assert len(lines(tmp_path / "masks.jsonl")) == index + 1
    sink.close()
    sink.close()


@pytest.mark.parametrize("hw", [(96, 160), (97, 161), (17, 33)])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_overlay_video_shows_the_masks(tmp_path: Path, hw: tuple[int, int], suffix: str) -> None:
    path = tmp_path / f"overlay{suffix}"
    frames = []
    with OverlayVideo(path, 25.0) as sink:
        for index in range(10):
            masks = np.zeros((1, *hw), bool)
            masks[0, : hw[0] // 2] = True
            frames.append((Frame(index, 0.0, np.full((*hw, 3), 128, np.uint8)), result(index, masks)))
            sink.write(*frames[-1])
    images = decoded(path)
    assert len(images) == 10
    height, width = hw
    assert images[0].shape == (height + height % 2, width + width % 2, 3)
    want = draw(frames[5][0].image, frames[5][1]).astype(int)
    assert np.abs(images[5][:height, :width] - want).mean() < 8
    with av.open(path) as container:
        assert container.streams.video[0].average_rate == 25
        assert container.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize("fps", [30000 / 1001, 23.976, 12.5, 1.0])
def test_the_frame_rate_is_kept(tmp_path: Path, fps: float) -> None:
    with OverlayVideo(tmp_path / "a.mp4", fps) as sink:
        for index in range(4):
            sink.write(*moving(index))
    with av.open(tmp_path / "a.mp4") as container:
        assert float(container.streams.video[0].average_rate or 0) == pytest.approx(fps, rel=1e-3)


def test_without_x264_it_is_mpeg4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", set(av.codecs_available) - {"libx264"})
    with OverlayVideo(tmp_path / "a.mp4", 25) as sink:
        for index in range(5):
            sink.write(*moving(index))
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].codec_context.name == "mpeg4"
    assert len(decoded(tmp_path / "a.mp4")) == 5


def test_a_killed_run_leaves_a_video_that_plays(tmp_path: Path) -> None:
    sink = OverlayVideo(tmp_path / "a.mp4", 10)
    for index in range(100):
        sink.write(*moving(index))
    shutil.copy(tmp_path / "a.mp4", tmp_path / "killed.mp4")  # as the disk has it when the process is gone
    assert len(decoded(tmp_path / "killed.mp4")) >= 40
    sink.close()
    assert len(decoded(tmp_path / "a.mp4")) == 100


def test_the_end_of_the_last_whole_fragment_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with OverlayVideo(path, 10) as sink:
        for index in range(30):
            sink.write(*moving(index))
    data = path.read_bytes()
    ends = set()
    for cut in range(0, len(data), 7):
        path.write_bytes(data[:cut])
        ends.add(whole_fragments(path))
    path.write_bytes(data[: max(ends)])
    assert len(decoded(path)) == 30
    assert len(ends) == 5  # nothing, the header, and the second-long fragments of three seconds
    for end in sorted(ends)[2:]:
        path.write_bytes(data[:end])
        assert len(decoded(path)) % 10 == 0


def test_a_run_without_a_frame_leaves_no_video(tmp_path: Path) -> None:
    OverlayVideo(tmp_path / "a.mp4", 25).close()
    assert not (tmp_path / "a.mp4").exists()


def test_frames_that_change_their_size_are_refused(tmp_path: Path) -> None:
    with OverlayVideo(tmp_path / "a.mp4", 25) as sink:
        sink.write(*moving(0))
        with pytest.raises(SinkError, match="160x97 pixels comes after frames of 160x96"):
            sink.write(*moving(1, height=97))
    assert len(decoded(tmp_path / "a.mp4")) == 1


def test_pngs_hold_the_ids(tmp_path: Path) -> None:
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:9, 3:12] = masks[1, 5:15, 8:20] = masks[2, 18:, 25:] = True
    found = FrameResult(42, 0.0, np.array([1, 9, 255]), masks, boxes_xyxy(masks), np.array([0.5, 0.9, 0.1], np.float32))
    with MaskPngs(tmp_path / "pngs") as sink:
        sink.write(Frame(42, 0.0, np.zeros((20, 30, 3), np.uint8)), found)
    (path,) = (tmp_path / "pngs").iterdir()
    assert path.name == "00042.png"
    with Image.open(path) as image:
        assert image.mode == "P"
        ids = np.asarray(image)
    want = np.zeros((20, 30), np.uint8)
    want[masks[2]], want[masks[0]], want[masks[1]] = 255, 1, 9  # the surest on top
    np.testing.assert_array_equal(ids, want)


def test_ids_beyond_a_png_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="object id 256 is above 255"):
        MaskPngs(tmp_path).write(
            Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8)), result(0, np.ones((1, 2, 2), bool), [256])
        )


def test_old_files_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "masks.jsonl").write_text("old\n" * 1000)
    (tmp_path / "pngs").mkdir()
    with Sinks([MasksJsonl(tmp_path / "masks.jsonl"), MaskPngs(tmp_path / "pngs")]) as sink:
        sink.write(*moving(0))
    assert len(lines(tmp_path / "masks.jsonl")) == 1


def test_wrong_paths_are_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").write_text("")
    wrong: list[tuple[Callable[[], object], str]] = [
        (lambda: MasksJsonl(tmp_path / "no" / "masks.jsonl"), f"there is no folder {tmp_path / 'no'}; create it first"),
        (lambda: OverlayVideo(tmp_path / "no" / "a.mp4", 25), "there is no folder"),
        (lambda: MaskPngs(tmp_path / "no" / "pngs"), "there is no folder"),
        (lambda: MasksJsonl(tmp_path), "cannot be written: Is a directory"),
        (lambda: OverlayVideo(tmp_path / "folder.mp4", 25), "cannot be written: Is a directory"),
        (lambda: MaskPngs(tmp_path / "file"), "the folder cannot be created: File exists"),
        (lambda: OverlayVideo(tmp_path / "a.gif", 25), "must end in .mp4, .m4v, .mov, .mkv"),
        (lambda: OverlayVideo(tmp_path / "a.mp4", 0), "0 frames/s"),
        (lambda: OverlayVideo(tmp_path / "a.mp4", float("nan")), "nan frames/s"),
    ]
    for make, message in wrong:
        with pytest.raises(SinkError) as caught:
            make()
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_line() -> None:
    sink = MasksJsonl("/dev/full")
    with pytest.raises(SinkError, match="/dev/full: No space left on device, after 0 bytes were written"):
        sink.write(*moving(0))
    sink.close()


LIMITED = """
import resource, signal, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from moving_object import moving
from masklet.runtime.errors import SinkError
from masklet.runtime.sinks.mask_pngs import MaskPngs
from masklet.runtime.sinks.json_lines import MasksJsonl
from masklet.runtime.sinks.overlay_video import OverlayVideo
from masklet.runtime.sinks.prompt_marks import draw_prompts
from masklet.runtime.sinks.sink import Sinks
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    with Sinks([{sink}]) as sink:
        for index in range(3000):
            sink.write(*moving(index % 100))
except SinkError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("sink", "limit"),
    [
        ("MasksJsonl('out.jsonl')", 10_000),
        ("OverlayVideo('out.mp4', 10)", 30_000),
        ("OverlayVideo('out.mkv', 10)", 30_000),
    ],
    ids=["jsonl", "mp4", "mkv"],
)
def test_what_a_full_disk_took_stays_readable(tmp_path: Path, sink: str, limit: int) -> None:
    """A limit on file sizes stands for the full disk: the write that reaches it is cut short, the next one fails."""
    script = LIMITED.format(here=str(Path(__file__).parents[2]), sink=sink, limit=limit)
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    (out,) = tmp_path.iterdir()
    assert run.stderr == ""
    assert run.stdout == f"{out.name}: File too large, after {limit} bytes were written\n"
    if out.suffix == ".jsonl":
        assert [line["frame"] for line in lines(out)] == list(range(len(lines(out))))
        assert 9_000 < out.stat().st_size < limit
    else:
        assert len(list(open_source(str(out)))) >= 20


def test_a_png_that_does_not_fit_is_not_left_behind(tmp_path: Path) -> None:
    script = LIMITED.format(here=str(Path(__file__).parents[2]), sink="MaskPngs('out')", limit=100)
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert run.stdout == "out/00000.png: File too large, after 100 bytes were written\n"
    assert list((tmp_path / "out").iterdir()) == []


class Failing:
    def __init__(self) -> None:
        self.closed = False

    def write(self, frame: Frame, result: FrameResult) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True
        raise SinkError("cannot close")


def test_all_sinks_are_closed_whatever_fails(tmp_path: Path) -> None:
    first, second = Failing(), Failing()
    sinks: list[Sink] = [first, second]
    with pytest.raises(SinkError, match="cannot close"), Sinks(sinks):
        pass
    assert first.closed
    assert second.closed


def test_drawing_leaves_the_frame_and_the_rest_of_it_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    masks = np.zeros((2, 200, 300), bool)
    masks[0, 100:150, 100:180] = True
    before = image.copy()
    drawn = draw(image, result(0, masks, [5, 6]))
    np.testing.assert_array_equal(image, before)
    changed = (drawn != image).any(axis=2)
    assert changed[105:145, 105:175].mean() > 0.99
    changed[70:155, 95:200] = False  # mask, contour and label
    assert not changed.any()
    inside = drawn[125, 140].astype(float) - 0.55 * image[125, 140]
    np.testing.assert_allclose(inside, 0.45 * np.array(colour(5)), atol=1)


@pytest.mark.parametrize("hw", [(1, 1), (1, 500), (500, 1), (7, 9), (40, 30), (2160, 3840)])
def test_any_size_can_be_drawn(hw: tuple[int, int]) -> None:
    drawn = draw(np.zeros((*hw, 3), np.uint8), result(0, np.ones((1, *hw), bool), [2**31 - 1]))
    assert drawn.shape == (*hw, 3)
    assert drawn.any()


def test_colours_of_the_first_objects_differ() -> None:
    colours = np.array([colour(n) for n in range(1, 11)], float)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert (distances + 1e3 * np.eye(10)).min() > 40


@pytest.mark.parametrize(("encoder", "codec"), [("auto", "h264"), ("libx264", "h264"), ("mpeg4", "mpeg4")])
def test_the_overlays_encoder_can_be_chosen(tmp_path: Path, encoder: str, codec: str) -> None:
    path = tmp_path / "overlay.mp4"
    with OverlayVideo(path, 10, encoder=encoder, preset="ultrafast") as sink:
        for index in range(3):
            sink.write(*moving(index))
    with av.open(str(path)) as video:
        assert video.streams.video[0].codec_context.name == codec


def test_an_encoder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    sink = OverlayVideo(tmp_path / "overlay.mp4", 10, encoder="h266_none")
    with pytest.raises(SinkError, match="this FFmpeg has no encoder h266_none; leave out --overlay-encoder"):
        sink.write(*moving(0))
    sink.close()


def test_prompts_are_drawn_on_their_frames(tmp_path: Path) -> None:
    """A click on frame 1 changes that frame around its place, and no other frame."""

    def pictures(prompts: Schedule) -> list[Any]:
        path = tmp_path / "overlay.mp4"
        with OverlayVideo(path, 10, prompts=prompts) as sink:
            for index in range(3):
                sink.write(*moving(index))
        with av.open(str(path)) as video:
            return [frame.to_ndarray(format="rgb24").astype(int) for frame in video.decode(video=0)]

    plain, marked = pictures({}), pictures({1: {1: Points.click(20, 30)}})
    changed = [np.abs(a - b).max(axis=2) > 60 for a, b in zip(plain, marked, strict=True)]
    assert [bool(each.any()) for each in changed] == [False, True, False]
    rows, columns = np.nonzero(changed[1])
    assert (abs(rows - 30).max() <= 8, abs(columns - 20).max() <= 8) == (True, True)


def test_every_form_of_prompt_is_drawn() -> None:
    mask = np.zeros((64, 96), np.bool_)
    mask[20:40, 50:80] = True
    for prompt in (Box(10, 10, 40, 50), Box(10, 10, 40, 50, Points.click(20, 20, positive=False)), Mask(mask)):
        canvas = np.full((64, 96, 3), 90, np.uint8)
        draw_prompts(canvas, {2: prompt})
        rows, columns = np.nonzero((canvas != 90).any(axis=2))
        low, high = ((9, 9), (51, 41)) if isinstance(prompt, Box) else ((20, 50), (39, 79))
        assert (rows.min(), columns.min()) >= low
        assert (rows.max(), columns.max()) <= high
