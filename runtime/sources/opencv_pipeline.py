"""GStreamer pipelines, read by OpenCV, and the pipeline for cameras on a Jetson's CSI connector."""

import re
from collections.abc import Callable

import cv2
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.live import LiveSource
from masklet.runtime.sources.opencv_device import OpenCvDevice, VideoCapture
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.source import Cut, FeedOptions

CSI_SIZE, CSI_RATE = (1920, 1080), 30.0
# At most one frame waits: older ones are useless for a live source.
_SINK = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer; the wheels on PyPI are not."""
    return re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()) is not None


def open_pipeline(
    name: str,
    spec: str,
    cut: Cut,
    options: FeedOptions,
    capture: Callable[[str, int], VideoCapture] = cv2.VideoCapture,
    available: Callable[[], bool] = has_gstreamer,
) -> LiveSource:
    """Open csi://N or gst:PIPELINE. Raises SourceError if OpenCV has no GStreamer or the pipeline fails.

    name: the spec without passwords.
    """
    pipeline = csi_pipeline(spec, options) if spec.startswith("csi:") else gst_pipeline(spec, options)
    if not available():
        raise SourceError(
            f"{name}: OpenCV was built without GStreamer, as all wheels on PyPI; install python3-opencv of Debian or "
            f"JetPack instead, or serve the pipeline over RTSP"
        )

    def connect() -> OpenCvDevice:
        opened = capture(pipeline, cv2.CAP_GSTREAMER)
        if not opened.isOpened():
            opened.release()
            raise SourceError(f"{name}: GStreamer cannot run it; try it with gst-launch-1.0: {hide_password(pipeline)}")
        return OpenCvDevice(name, opened)

    return LiveSource(name, connect, cut)


def csi_pipeline(spec: str, options: FeedOptions) -> str:
    """The pipeline of csi://N: Argus captures into GPU memory, nvvidconv copies to host memory."""
    sensor = re.fullmatch(r"csi:(?://)?(\d+)", spec)
    if sensor is None:
        raise SourceError(f"{spec}: expected csi://N, the number of a CSI camera, such as csi://0")
    if options.pixel_format is not None:
        raise SourceError(f"{spec}: Argus delivers NV12 only; leave out --pixel-format")
    width, height = options.size or CSI_SIZE
    rate = options.rate or CSI_RATE
    return (
        f"nvarguscamerasrc sensor-id={sensor[1]} ! "
        f"video/x-raw(memory:NVMM),width={width},height={height},framerate={round(rate * 1000)}/1000,format=NV12 ! "
        f"nvvidconv ! video/x-raw,format=BGRx ! {_SINK}"
    )


def gst_pipeline(spec: str, options: FeedOptions) -> str:
    """The pipeline of gst:PIPELINE, with a sink appended if it has none."""
    pipeline = spec.removeprefix("gst:").strip()
    if not pipeline:
        raise SourceError("gst: expected a pipeline, such as gst:v4l2src ! videoconvert")
    if options.asks_format:
        raise SourceError(f"{hide_password(spec)}: put size, rate and format into the pipeline, as caps")
    return pipeline if "appsink" in pipeline else f"{pipeline} ! {_SINK}"
