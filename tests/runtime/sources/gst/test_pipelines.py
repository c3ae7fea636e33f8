"""Texts of pipelines by the elements that are installed; nothing of GStreamer runs."""

import pytest
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst.elements import CODECS
from masklet.runtime.sources.gst.library import GStreamerMissingError
from masklet.runtime.sources.gst.pipelines import camera_pipeline, csi_pipeline, decode, decoders, own_pipeline, to_host
from masklet.runtime.sources.source import FeedOptions

CPU = {"videoscale", "videoconvert", "appsink", "rtspsrc", "v4l2src", "h264parse", "h265parse", "jpegdec", "avdec_h264"}
JETSON = CPU | {"nvarguscamerasrc", "nvvidconv", "nvv4l2decoder"}
PI = CPU | {"v4l2h264dec"}


def test_csi_stays_in_gpu_memory_until_it_is_scaled_and_converted() -> None:
    assert csi_pipeline("csi://1", FeedOptions((1280, 720), 59.94), JETSON.__contains__) == (
        "nvarguscamerasrc sensor-id=1 ! "
        "video/x-raw(memory:NVMM),format=NV12,width=1280,height=720,framerate=59940/1000 ! "
        "nvvidconv name=masklet_scaler ! capsfilter name=masklet_size caps=video/x-raw,format=RGBA ! "
        "appsink name=masklet_sink max-buffers=1 drop=true sync=false"
    )


@pytest.mark.parametrize(
    ("here", "codec", "chain"),
    [
        (JETSON, "H264", "h264parse ! nvv4l2decoder"),
        (JETSON, "H265", "h265parse ! nvv4l2decoder"),
        (PI, "H264", "h264parse ! v4l2h264dec"),
        (CPU, "H264", "h264parse ! avdec_h264"),
        (CPU, "JPEG", "jpegdec"),
    ],
)
def test_the_fastest_decoder_that_is_there_is_taken(here: set[str], codec: str, chain: str) -> None:
    assert decode(CODECS[codec], here.__contains__)[0] == chain


def test_a_hardware_decoder_is_followed_by_the_jetsons_converter() -> None:
    assert to_host("nvv4l2decoder", JETSON.__contains__).startswith("nvvidconv ")
    assert to_host("avdec_h264", JETSON.__contains__).startswith("videoscale ")
    with pytest.raises(GStreamerMissingError, match="no nvvidconv; it comes with JetPack"):
        to_host("nvv4l2decoder", (JETSON - {"nvvidconv"}).__contains__)


def test_a_camera_is_asked_for_what_was_asked_for() -> None:
    every = FeedOptions((640, 480), 15, "mjpeg", newest=False)
    assert camera_pipeline("/dev/video0", every, CPU.__contains__) == (
        "v4l2src device=/dev/video0 ! image/jpeg,width=640,height=480,framerate=15000/1000 ! jpegdec ! "
        "videoscale name=masklet_scaler ! videoconvert ! capsfilter name=masklet_size "
        'caps="video/x-raw,format=(string){ I420, NV12, YUY2, UYVY, RGB }" ! '
        "appsink name=masklet_sink max-buffers=4 drop=false sync=false"
    )
    plain = camera_pipeline("/dev/video0", FeedOptions(), CPU.__contains__)
    assert plain.startswith("v4l2src device=/dev/video0 ! video/x-raw ! videoscale")


def test_a_pipeline_with_its_own_sink_stays_as_it_is() -> None:
    assert own_pipeline("x", "gst: a ! appsink", FeedOptions(), CPU.__contains__) == "a ! appsink"


def test_the_doctor_says_what_decodes_what() -> None:
    assert decoders(CPU.__contains__) == [
        "H.264 by avdec_h264",
        "H.265: GStreamer has no avdec_h265; sudo apt-get install gstreamer1.0-libav",
        "JPEG by jpegdec",
    ]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("avdec_h264", "H.264 cannot be decoded: GStreamer has no avdec_h264; sudo apt-get install gstreamer1.0-libav"),
        ("h264parse", "has no h264parse; sudo apt-get install gstreamer1.0-plugins-bad"),
    ],
)
def test_the_package_of_a_missing_element_is_named(missing: str, message: str) -> None:
    with pytest.raises(GStreamerMissingError, match=message):
        decode(CODECS["H264"], (CPU - {missing}).__contains__)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: csi_pipeline("csi://front", FeedOptions(), JETSON.__contains__), "expected csi://N"),
        (lambda: csi_pipeline("csi://0", FeedOptions(pixel_format="nv12"), JETSON.__contains__), "delivers NV12 only"),
        (
            lambda: csi_pipeline("csi://0", FeedOptions(), CPU.__contains__),
            "no nvarguscamerasrc; it comes with",
        ),
        (lambda: camera_pipeline("/dev/video0", FeedOptions(pixel_format="rgb48"), CPU.__contains__), "'rgb48'; expec"),
        (lambda: own_pipeline("x", "gst:", FeedOptions(), CPU.__contains__), "expected a pipeline"),
        (lambda: own_pipeline("x", "gst:a", FeedOptions(rate=5), CPU.__contains__), "put size, rate and format into"),
    ],
)
def test_bad_feeds(make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SourceError, match=message):
        make()
