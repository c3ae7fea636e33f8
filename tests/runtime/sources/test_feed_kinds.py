"""Cameras, pipelines and raw frames: what is asked of them, and one line for what is wrong with them."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from av import VideoFrame
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.camera import open_camera
from masklet.runtime.sources.live import LiveSource
from masklet.runtime.sources.opencv_pipeline import csi_pipeline, gst_pipeline, open_pipeline
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.raw_frames import RawFrames
from masklet.runtime.sources.source import Cut, FeedOptions, parse_size

U8 = npt.NDArray[np.uint8]


class FakeCapture:
    """A driver that grants the nearest of what it has: 640x480 in YUYV or MJPG."""

    def __init__(self, source: str, api: int, wishes: Sequence[int] = (), opens: bool = True) -> None:
        self.source, self.api, self.opens, self.released = source, api, opens, False
        self.asked = dict(zip(wishes[::2], wishes[1::2], strict=True))
        self._left = 3

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def read(self) -> tuple[bool, U8 | None]:
        self._left -= 1
        return (True, np.full((480, 640, 3), (1, 2, 3), np.uint8)) if self._left >= 0 else (False, None)

    def get(self, prop: int, /) -> float:
        codes = [int.from_bytes(code, "little") for code in (b"YUYV", b"MJPG")]
        wished = self.asked.get(cv2.CAP_PROP_FOURCC, codes[0])
        return {
            cv2.CAP_PROP_FRAME_WIDTH: 640.0,
            cv2.CAP_PROP_FRAME_HEIGHT: 480.0,
            cv2.CAP_PROP_FPS: float(self.asked.get(cv2.CAP_PROP_FPS, 30)),
            cv2.CAP_PROP_FOURCC: float(wished if wished in codes else codes[0]),
        }[prop]

    def release(self) -> None:
        self.released = True


def fake_camera(options: FeedOptions, opened: list[FakeCapture] | None = None, opens: bool = True) -> LiveSource:
    def capture(source: str, api: int, wishes: Sequence[int]) -> FakeCapture:
        made = FakeCapture(source, api, wishes, opens)
        if opened is not None:
            opened.append(made)
        return made

    return open_camera("/dev/video9", Cut(end=3), options, capture, needs_device=False)


def test_a_camera_is_asked_for_format_before_size_and_delivers_rgb() -> None:
    opened: list[FakeCapture] = []
    source = fake_camera(FeedOptions((640, 480), 15, "mjpeg"), opened)
    assert list(opened[0].asked) == [
        cv2.CAP_PROP_FOURCC,
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
    ]
    assert opened[0].api == cv2.CAP_V4L2
    assert source.size == (640, 480)
    assert source.fps == 15
    delivered = list(source)
    assert len(delivered) == 3
    assert delivered[0].image[0, 0].tolist() == [3, 2, 1]
    assert opened[0].released


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FeedOptions((1920, 1080)), "does not support 1920x1080 pixels; the nearest size is 640x480"),
        (FeedOptions(pixel_format="nv12"), "does not support nv12; it offers yuyv422"),
        (FeedOptions(pixel_format="rgb48"), "unknown pixel format 'rgb48'; expected one of yuyv422"),
    ],
)
def test_what_a_camera_cannot_do_is_said(options: FeedOptions, message: str) -> None:
    opened: list[FakeCapture] = []
    with pytest.raises(SourceError, match=message):
        fake_camera(options, opened)
    assert all(capture.released for capture in opened)


def test_a_camera_in_use_is_refused() -> None:
    with pytest.raises(SourceError, match="it may be in use"):
        fake_camera(FeedOptions(), opens=False)


def test_a_device_that_is_not_there_not_allowed_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match="/dev/video97: no such camera; cameras: "):
        open_source("97")
    file = tmp_path / "video0"
    file.touch()
    with pytest.raises(SourceError, match="is not a device"):
        open_camera(str(file), Cut(), FeedOptions())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(SourceError, match="permission denied; add the user"):
        open_camera(str(file), Cut(), FeedOptions())


def test_csi_asks_argus_for_what_was_asked_for() -> None:
    assert csi_pipeline("csi://1", FeedOptions((1280, 720), 59.94)) == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),width=1280,height=720,framerate=59940/1000,format=NV12 ! "
        "nvvidconv ! video/x-raw,format=BGRx ! "
        "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )
    assert "sensor-id=0 " in csi_pipeline("csi:0", FeedOptions())


def test_a_pipeline_without_a_sink_gets_one() -> None:
    assert gst_pipeline("gst:videotestsrc", FeedOptions()).startswith(
        "videotestsrc ! videoconvert ! video/x-raw,format"
    )
    assert gst_pipeline("gst: a ! appsink", FeedOptions()) == "a ! appsink"


def test_a_pipeline_is_played_where_opencv_can() -> None:
    opened: list[FakeCapture] = []

    def capture(pipeline: str, api: int) -> FakeCapture:
        opened.append(FakeCapture(pipeline, api))
        return opened[0]

    source = open_pipeline("cam", "gst:videotestsrc", Cut(end=2), FeedOptions(), capture, lambda: True)
    assert len(list(source)) == 2
    assert opened[0].api == cv2.CAP_GSTREAMER
    with pytest.raises(SourceError, match=r"GStreamer cannot run it; try it with gst-launch-1.0: nope ! videoconvert"):
        open_pipeline(
            "cam", "gst:nope", Cut(), FeedOptions(), lambda p, a: FakeCapture(p, a, opens=False), lambda: True
        )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("csi://front", "expected csi://N"),
        ("gst:", "expected a pipeline"),
        ("ftp://user:word@camera/x", r"ftp://user:\*\*\*@camera/x: frames cannot be read from ftp://; give a file"),
        ("-", "raw frames need --size"),
    ],
)
def test_bad_feeds(spec: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(spec)


def test_gstreamer_missing_in_opencv_is_said() -> None:
    with pytest.raises(SourceError, match="csi://0: OpenCV was built without GStreamer"):
        open_pipeline("csi://0", "csi://0", Cut(), FeedOptions(), available=lambda: False)


def test_a_file_takes_no_feed_options(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a file has its own size"):
        open_source(str(tmp_path), feed=FeedOptions(rate=5))


@pytest.mark.parametrize("text", ["1280", "x", "1280x", "-1x5", "axb"])
def test_bad_sizes(text: str) -> None:
    with pytest.raises(SourceError, match="expected WIDTHxHEIGHT"):
        parse_size(text)
    assert parse_size("1280x720") == (1280, 720)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("rtsp://user:word@host/x", "rtsp://user:***@host/x"),
        ("rtsp://user:p@ss:w@host:554/x?y", "rtsp://user:***@host:554/x?y"),
        ("lost rtsp://:w@h now", "lost rtsp://:***@h now"),
        ("rtsp://host:554/x", "rtsp://host:554/x"),
        ("rtsp://user@host/x", "rtsp://user@host/x"),
        ("rtsp://h/user=a&password=word&channel=1", "rtsp://h/user=a&password=***&channel=1"),
        ("rtspsrc user-id=a user-pw=word ! x", "rtspsrc user-id=a user-pw=*** ! x"),
        ('srtsrc passphrase = "a word" ! x', "srtsrc passphrase = *** ! x"),
    ],
)
def test_passwords_are_hidden(text: str, hidden: str) -> None:
    assert hide_password(text) == hidden


def raw(*parts: bytes, options: FeedOptions, cut: Cut | None = None) -> RawFrames:
    """Raw frames from a pipe that is written in these parts, and closed."""
    reading, writing = os.pipe()
    for part in parts:
        os.write(writing, part)
    os.close(writing)
    return RawFrames("pipe", cut or Cut(), options, reading)


def test_raw_frames_come_whole_whatever_the_parts() -> None:
    clip = np.arange(4 * 2 * 4 * 3, dtype=np.uint8).reshape(4, 2, 4, 3)
    data = clip.tobytes()
    source = raw(data[:7], data[7:50], data[50:], options=FeedOptions((4, 2), 20))
    delivered = list(source)
    assert [f.index for f in delivered] == [0, 1, 2, 3]
    assert [f.time_s for f in delivered] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert (np.stack([f.image for f in delivered]) == clip).all()
    assert source.corrupt == 0


def test_a_pipe_that_ends_within_a_frame_has_a_corrupt_one() -> None:
    source = raw(bytes(24 + 5), options=FeedOptions((4, 2)))
    assert len(list(source)) == 1
    assert source.corrupt == 1


@pytest.mark.parametrize("layout", ["rgb24", "bgr24", "rgba", "bgra", "gray", "yuyv422", "nv12", "yuv420p"])
def test_layouts_agree_with_ffmpegs(layout: str) -> None:
    image = np.full((32, 32, 3), (200, 120, 40), np.uint8)
    frame = VideoFrame.from_ndarray(image, format="rgb24").reformat(format=layout)
    source = raw(frame.to_ndarray().tobytes(), options=FeedOptions((32, 32), pixel_format=layout))
    (delivered,) = source
    want = frame.to_ndarray(format="rgb24").astype(int)
    assert abs(delivered.image.astype(int) - want).max() <= 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (FeedOptions((4, 4), pixel_format="p010"), "unknown pixel format 'p010'; expected one of rgb24"),
        (FeedOptions((5, 4), pixel_format="nv12"), "5x4 is odd"),
    ],
)
def test_bad_raw_frames(options: FeedOptions, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        raw(options=options)


def test_a_silent_pipe_ends_when_it_is_told_to() -> None:
    reading, writing = os.pipe()
    source = RawFrames("pipe", Cut(), FeedOptions((4, 4)), reading)
    source.stop()
    assert list(source) == []
    os.close(writing)


BAD_OPTIONS: list[tuple[Callable[[], Any], str]] = [
    (lambda: FeedOptions((0, 5)), "0x5: width and height must be at least 1 pixel"),
    (lambda: FeedOptions(rate=0), "must be above 0 and at most 1000"),
    (lambda: FeedOptions(rate=float("nan")), "must be above 0 and at most 1000"),
]


@pytest.mark.parametrize(("make", "message"), BAD_OPTIONS)
def test_bad_options(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        make()
