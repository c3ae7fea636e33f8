"""V4L2 cameras, read by OpenCV; PyAV's wheels are built without V4L2."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.live import LiveSource
from masklet.runtime.sources.opencv_device import OpenCvDevice, VideoCapture
from masklet.runtime.sources.source import Cut, FeedOptions

Opener = Callable[[str, int, Sequence[int]], VideoCapture]

FOURCC = {"yuyv422": "YUYV", "uyvy422": "UYVY", "mjpeg": "MJPG", "nv12": "NV12", "yuv420p": "YU12", "gray": "GREY"}


def open_camera(
    path: str, cut: Cut, options: FeedOptions, capture: Opener = cv2.VideoCapture, needs_device: bool = True
) -> LiveSource:
    """Open a camera. Raises SourceError if it does not exist or does not support the options.

    path:         such as /dev/video0.
    needs_device: False for tests with a `capture` that imitates a camera.
    """
    if options.pixel_format not in (None, *FOURCC):
        raise SourceError(f"{path}: unknown pixel format {options.pixel_format!r}; expected one of {', '.join(FOURCC)}")

    def connect() -> OpenCvDevice:
        if needs_device:
            check_device(Path(path))
        opened = capture(path, cv2.CAP_V4L2, _wishes(options))
        if not opened.isOpened():
            opened.release()
            raise SourceError(f"{path}: cannot be opened as a camera; it may be in use, or is not a camera")
        try:
            _check_granted(path, opened, options)
        except SourceError:
            opened.release()
            raise
        return OpenCvDevice(path, opened)

    return LiveSource(path, connect, cut)


def check_device(path: Path) -> None:
    """Raise SourceError if there is no such camera, or it may not be used."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        cameras = sorted(str(p) for p in Path("/dev").glob("video*"))
        raise SourceError(f"{path}: no such camera; cameras: {', '.join(cameras) or 'none'}") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    if not os.access(path, os.R_OK | os.W_OK):
        raise SourceError(f"{path}: permission denied; add the user to its group, usually `video`")
    if not stat.S_ISCHR(mode):
        raise SourceError(f"{path}: is not a device")


def _wishes(options: FeedOptions) -> list[int]:
    """OpenCV's property, value pairs. The format comes first: the available sizes depend on it."""
    wishes: list[int] = []
    if options.pixel_format is not None:
        wishes += [cv2.CAP_PROP_FOURCC, _code(FOURCC[options.pixel_format])]
    if options.size is not None:
        wishes += [cv2.CAP_PROP_FRAME_WIDTH, options.size[0], cv2.CAP_PROP_FRAME_HEIGHT, options.size[1]]
    if options.rate is not None:
        wishes += [cv2.CAP_PROP_FPS, round(options.rate)]
    return wishes


def _check_granted(path: str, capture: VideoCapture, options: FeedOptions) -> None:
    """Raise SourceError if the driver chose other settings: it silently uses the nearest ones that it supports."""
    size = (round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
    if options.size not in (None, size):
        width, height = options.size or size
        raise SourceError(f"{path}: does not support {width}x{height} pixels; the nearest size is {size[0]}x{size[1]}")
    if options.pixel_format is not None:
        code = round(capture.get(cv2.CAP_PROP_FOURCC))
        if code != _code(FOURCC[options.pixel_format]):
            raise SourceError(f"{path}: does not support {options.pixel_format}; it offers {_letters(code)}")


def _code(letters: str) -> int:
    return int.from_bytes(letters.encode("ascii"), "little")


def _letters(code: int) -> str:
    letters = code.to_bytes(4, "little", signed=code < 0).decode("ascii", "replace")
    return next((name for name, fourcc in FOURCC.items() if fourcc == letters), letters)
