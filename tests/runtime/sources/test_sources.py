"""Sources deliver the right frames whatever the codec, the container and the damage, and say plainly what is wrong.

The clips are made here (striped_clips.py).
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.errors import SourceError
from masklet.runtime.sources import video_file
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import FeedOptions
from striped_clips import H264, U8, number, right, seen, write_video

KINDS: dict[str, Callable[[Path], Path]] = {
    "h264 with B-frames": lambda folder: write_video(folder / "a.mp4"),
    "one key frame": lambda folder: write_video(folder / "b.mp4", gop=1000),
    "only key frames": lambda folder: write_video(folder / "c.mov", gop=1),
    "open groups": lambda folder: write_video(folder / "d.mp4", options={**H264, "x264-params": "open-gop=1"}, gop=6),
    "matroska": lambda folder: write_video(folder / "e.mkv"),
    "fragments": lambda folder: write_video(folder / "f.mp4", container={"movflags": "frag_keyframe+empty_moov"}),
    "mpeg4 in avi": lambda folder: write_video(folder / "g.avi", codec="mpeg4"),
    "motion jpeg": lambda folder: write_video(folder / "h.mov", codec="mjpeg"),
    "transport stream": lambda folder: write_video(folder / "i.ts"),
    "uneven times": lambda folder: write_video(
        folder / "j.mkv", times=[24 * n + 90 * (n // 7) + n % 3 for n in range(30)]
    ),
}


@pytest.fixture(scope="module", params=KINDS, ids=str)
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 30 frames of each kind."""
    return KINDS[request.param](tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("many")
    kinds = ("h264 with B-frames", "matroska", "fragments", "mpeg4 in avi", "transport stream")
    return [KINDS[kind](folder) for kind in kinds]


def test_a_video_is_delivered_whole(clip: Path) -> None:
    with open_source(str(clip)) as source:
        assert source.frames == 30
        assert source.size == (64, 48)
        frames = list(source)
        assert source.corrupt == 0
    assert [(f.index, number(f.image)) for f in frames] == right(*range(30))
    assert frames[0].time_s == 0
    assert all(a.time_s < b.time_s for a, b in pairwise(frames))


def test_a_decoder_of_one_thread_gives_the_same_frames(clip: Path) -> None:
    many, one = (list(open_source(str(clip), feed=FeedOptions(threads=threads))) for threads in (None, 1))
    for a, b in zip(many, one, strict=True):
        assert (a.index, a.time_s) == (b.index, b.time_s)
        np.testing.assert_array_equal(a.image, b.image)


def test_reading_begins_at_any_frame(clip: Path) -> None:
    for start in range(1, 30, 2):
        assert seen(open_source(str(clip), start=start, end=start + 2)) == right(*range(start, min(start + 2, 30)))


@pytest.mark.parametrize("held", [1, 7, 1000])
def test_backwards_are_the_same_frames(clip: Path, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "REVERSE_BYTES", held * 64 * 48 * 3)
    assert seen(open_source(str(clip), reverse=True)) == right(*range(29, -1, -1))
    assert seen(open_source(str(clip), reverse=True, start=3, end=20, stride=4)) == right(19, 15, 11, 7, 3)


@given(st.integers(0, 29), st.none() | st.integers(1, 40), st.integers(1, 12), st.booleans())
@settings(deadline=None, max_examples=25)
def test_a_cut_is_a_slice(video: Path, start: int, end: int | None, stride: int, reverse: bool) -> None:
    if end is not None and end <= start:
        with pytest.raises(SourceError, match="empty frame range"):
            open_source(str(video), start=start, end=end)
        return
    want = list(range(30))[start:end:stride]
    source = open_source(str(video), start=start, end=end, stride=stride, reverse=reverse)
    assert source.frames == len(want)
    assert [i for i in range(60) if source.will_yield(i)] == want
    assert seen(source) == right(*(reversed(want) if reverse else want))


def test_a_source_may_be_read_twice(video: Path) -> None:
    with open_source(str(video)) as source:
        assert [f.index for f in source] == [f.index for f in source] == list(range(30))


def test_times_are_those_of_the_file(tmp_path: Path) -> None:
    times = [1200, 1224, 1300, 1301, 1900]
    path = write_video(tmp_path / "uneven.mkv", 5, times=times)
    with open_source(str(path)) as source:
        assert [f.time_s for f in source] == pytest.approx([(t - times[0]) / 600 for t in times], abs=1e-3)


def test_the_rate_counts_delivered_frames(video: Path) -> None:
    assert open_source(str(video)).fps == 25
    assert open_source(str(video), stride=5).fps == 5


@pytest.mark.parametrize(("max_side", "size"), [(32, (32, 24)), (64, (64, 48)), (1000, (64, 48)), (16, (16, 12))])
def test_frames_shrink_to_the_longer_side(video: Path, max_side: int, size: tuple[int, int]) -> None:
    with open_source(str(video), max_side=max_side, stride=10) as source:
        assert source.size == size
        frames = list(source)
    assert {(f.image.shape[1], f.image.shape[0]) for f in frames} == {size}
    assert [number(f.image) for f in frames] == [0, 10, 20]


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((0, 1, -1, 0), lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE)),
        ((0, -1, 1, 0), lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE)),
        ((-1, 0, 0, -1), lambda image: cv2.rotate(image, cv2.ROTATE_180)),
    ],
    ids=["right", "left", "upside down"],
)
def test_a_turned_camera_gives_upright_frames(
    video: Path, tmp_path: Path, matrix: tuple[int, int, int, int], turn: Callable[[U8], U8]
) -> None:
    """A phone stores how it was held in the track header: a 3x3 matrix of 16.16 numbers (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(video.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    for slot, value in enumerate((a, b, 0, c, d)):
        data[at + 4 * slot : at + 4 * slot + 4] = value.to_bytes(4, "big", signed=True)
    (tmp_path / "turned.mp4").write_bytes(data)
    plain = next(iter(open_source(str(video), start=5))).image
    with open_source(str(tmp_path / "turned.mp4"), start=5) as source:
        image = next(iter(source)).image
        assert source.size == (image.shape[1], image.shape[0])
    np.testing.assert_array_equal(image, turn(plain))


def packets(path: Path) -> list[tuple[int, int]]:
    """Place and size of every packet in the file."""
    with av.open(path) as container:
        return [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]


def damaged(path: Path, which: list[int]) -> Path:
    data = bytearray(path.read_bytes())
    for n, (at, size) in enumerate(packets(path)):
        if n in which:
            data[at : at + size] = bytes(size)
    target = path.with_name(f"damaged{path.suffix}")
    target.write_bytes(data)
    return target


def test_corrupt_frames_are_left_out_and_counted(tmp_path: Path) -> None:
    path = damaged(write_video(tmp_path / "clip.mov", codec="mjpeg"), [4, 5, 17])
    kept = [i for i in range(30) if i not in (4, 5, 17)]
    for reverse in (False, True):
        source = open_source(str(path), reverse=reverse)
        assert seen(source) == right(*(reversed(kept) if reverse else kept))
        assert source.corrupt == 3


def test_frames_after_damage_keep_their_index(tmp_path: Path) -> None:
    path = damaged(write_video(tmp_path / "clip.mp4", gop=10), [12, 13])
    source = open_source(str(path))
    shown = seen(source)
    assert [pair for pair in shown if not 10 <= pair[0] < 20] == right(*range(10), *range(20, 30))
    assert source.corrupt == 30 - len(shown)


def test_a_cut_off_video_gives_what_it_has(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", container={"movflags": "faststart"})
    at, size = packets(path)[20]
    data = path.read_bytes()
    path.write_bytes(data[: at + size // 2])
    source = open_source(str(path))
    shown = seen(source)
    assert shown[:17] == right(*range(17))
    assert len(shown) < 25
    assert source.corrupt >= 5


def test_raw_h264_has_no_times_and_is_read_forwards(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.h264", options={"preset": "ultrafast", "bf": "0"})
    assert seen(open_source(str(path), start=5, end=9)) == right(5, 6, 7, 8)
    with pytest.raises(SourceError, match="cannot be read backwards"):
        open_source(str(path), reverse=True)


def test_tags_in_another_encoding_are_no_obstacle(video: Path, tmp_path: Path) -> None:
    data = video.read_bytes()
    assert data.count(b"VideoHandler") == 1
    (tmp_path / "latin1.mp4").write_bytes(data.replace(b"VideoHandler", "Vidéo-Film !".encode("latin-1")))
    assert seen(open_source(str(tmp_path / "latin1.mp4"), end=3)) == right(0, 1, 2)


def test_a_codec_without_a_decoder_is_named_as_the_cause(video: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.mp4").write_bytes(video.read_bytes().replace(b"avc1", b"zzz1"))
    with pytest.raises(SourceError, match="FFmpeg has no decoder for its video"):
        open_source(str(tmp_path / "odd.mp4"))


@given(st.integers(0, 4), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=50))
@settings(deadline=None, max_examples=40)
def test_damage_anywhere_ends_in_frames_or_one_line(
    many: list[Path], which: int, damage: list[tuple[float, int]]
) -> None:
    path = many[which]
    data = bytearray(path.read_bytes())
    for place, value in damage:
        data[min(int(place * len(data)), len(data) - 1)] = value
    target = path.with_name(f"bad{path.suffix}")
    target.write_bytes(data)
    for reverse in (False, True):
        with suppress(SourceError), open_source(str(target), reverse=reverse) as source:
            indices = [frame.index for frame in source]
            assert indices == sorted(set(indices), reverse=reverse)


def test_a_video_that_changes_its_size_is_refused(tmp_path: Path) -> None:
    parts = [write_video(tmp_path / name, 5, size=size).read_bytes() for name, size in SIZES.items()]
    (tmp_path / "both.ts").write_bytes(b"".join(parts))
    with pytest.raises(SourceError, match="is 32x48 after frames of 64x48"):
        list(open_source(str(tmp_path / "both.ts")))


SIZES = {"one.ts": (64, 48), "other.ts": (32, 48)}


def unreadable(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = write_video(folder / "whole.mp4")
    data = whole.read_bytes()
    (folder / "no_index.mp4").write_bytes(data[: len(data) // 2])
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "notes.txt").write_text("a video? no\n" * 50)
    (folder / "nothing.mp4").write_bytes(b"")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (folder / "nothing.png").write_bytes(b"")
    (folder / "empty").mkdir()
    (folder / "papers").mkdir()
    (folder / "papers" / "a.txt").write_text("a")
    (folder / "papers" / "._a.jpg").write_text("a")
    with av.open(folder / "sound.wav", "w") as output:
        stream: Any = output.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        output.mux(stream.encode(sound))
    return {
        "missing": (folder / "nowhere.mp4", "no such file or folder"),
        "cut off": (folder / "no_index.mp4", "cannot be read as a video"),
        "noise": (folder / "noise.mp4", "cannot be read as a video"),
        "text": (folder / "notes.txt", "contains no video"),
        "empty file": (folder / "nothing.mp4", "cannot be read as a video"),
        "no frame": (damaged(whole, list(range(30))), "can be decoded"),
        "broken image": (folder / "broken.jpg", "cannot be decoded as an image"),
        "broken header": (folder / "broken.png", "cannot be decoded as an image"),
        "empty image": (folder / "nothing.png", "cannot be decoded as an image"),
        "empty folder": (folder / "empty", "contains nothing; expected files .jpg"),
        "folder without images": (folder / "papers", "contains 2 entries, but no image"),
        "sound": (folder / "sound.wav", "contains no video"),
    }


def test_what_cannot_be_read_is_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for what, (path, message) in unreadable(tmp_path).items():
        with pytest.raises(SourceError, match=message) as caught:
            list(open_source(str(path)))
        assert str(path) in str(caught.value), what
        assert "\n" not in str(caught.value), what
    assert capfd.readouterr().err == ""  # OpenCV and FFmpeg say nothing of their own


@pytest.mark.parametrize(
    ("spec", "message"),
    [("97", "no such camera"), ("/dev/video97", "no such camera"), ("http://a/b.mp4", "cannot be read from http://")],
)
def test_cameras_and_streams_are_not_taken_for_files(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(spec)


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ({"start": 30}, "start 30 is beyond its last frame, 29"),
        ({"start": -1}, "expected 0 <= start < end"),
        ({"start": 5, "end": 5}, "expected 0 <= start < end"),
        ({"stride": 0}, "stride 0"),
        ({"max_side": 0}, "max_side 0"),
    ],
)
def test_a_cut_that_leaves_nothing_is_refused(video: Path, cut: dict[str, int], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(str(video), start=cut.pop("start", 0), **cut)  # type: ignore[arg-type]


def test_a_folder_or_file_without_permission_says_so(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", deny)
    with pytest.raises(SourceError, match="permission denied"):
        open_source(str(video))
    monkeypatch.setattr(Path, "iterdir", deny)
    with pytest.raises(SourceError, match="permission denied"):
        open_source(str(video.parent))
