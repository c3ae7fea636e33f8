"""The elements that pipelines are built from: which are installed, and which package brings the others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from masklet.runtime.sources.gst.library import GStreamerMissingError, load_gstreamer

Has = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Codec:
    """How a codec is decoded.

    name:     as users call it.
    media:    its caps outside RTP.
    depay:    takes it out of RTP packets.
    parse:    splits it into frames; "" if that is not needed.
    decoders: the fastest first. Those of hardware are registered only where they work.
    """

    name: str
    media: str
    depay: str
    parse: str
    decoders: tuple[str, ...]

    def decoder(self, has: Has) -> str:
        """The fastest decoder that is installed. Raises GStreamerMissingError, naming a package, if there is none."""
        return first_of(self.decoders, has, f"{self.name} cannot be decoded")


# By the encoding-name of RTP.
CODECS: Mapping[str, Codec] = {
    "H264": Codec(
        "H.264",
        "video/x-h264",
        "rtph264depay",
        "h264parse",
        ("nvv4l2decoder", "nvh264dec", "v4l2slh264dec", "v4l2h264dec", "vah264dec", "avdec_h264"),
    ),
    "H265": Codec(
        "H.265",
        "video/x-h265",
        "rtph265depay",
        "h265parse",
        ("nvv4l2decoder", "nvh265dec", "v4l2slh265dec", "v4l2h265dec", "vah265dec", "avdec_h265", "libde265dec"),
    ),
    "JPEG": Codec("JPEG", "image/jpeg", "rtpjpegdepay", "", ("jpegdec",)),
}
GPU_MEMORY = ("nvv4l2decoder", "nvarguscamerasrc")  # their frames stay in the GPU's memory (NVMM) until nvvidconv

_BASE, _GOOD, _BAD = (f"gstreamer1.0-plugins-{kind}" for kind in ("base", "good", "bad"))
_JETPACK = "JetPack (nvidia-l4t-gstreamer)"
_PACKAGES: Mapping[str, str] = {
    **dict.fromkeys(("videoconvert", "videoscale", "appsink", "decodebin", "videotestsrc"), _BASE),
    **dict.fromkeys(("rtspsrc", "v4l2src", "jpegdec", "rtph264depay", "rtph265depay", "rtpjpegdepay"), _GOOD),
    **dict.fromkeys(("h264parse", "h265parse", "vah264dec", "vah265dec", "nvh264dec", "nvh265dec", "srtsrc"), _BAD),
    **dict.fromkeys(("avdec_h264", "avdec_h265"), "gstreamer1.0-libav"),
    **dict.fromkeys(("nvv4l2decoder", "nvvidconv", "nvarguscamerasrc", "nvjpegdec"), _JETPACK),
    **dict.fromkeys(("x264enc",), "gstreamer1.0-plugins-ugly"),
    "capsfilter": "libgstreamer1.0-0",
    "libcamerasrc": "gstreamer1.0-libcamera",
}


def has_element(name: str) -> bool:
    """Whether an element is installed. Raises GStreamerMissingError if GStreamer is not."""
    return load_gstreamer().ElementFactory.find(name) is not None


def first_of(names: tuple[str, ...], has: Has, otherwise: str) -> str:
    """The first element that is installed. Raises GStreamerMissingError, which begins with `otherwise`, if none is."""
    found = next((name for name in names if has(name)), None)
    if found is None:
        easiest = next((name for name in reversed(names) if name in _PACKAGES), names[-1])
        raise GStreamerMissingError(f"{otherwise}: GStreamer has no {easiest}; {bringing(easiest)}")
    return found


def require(names: tuple[str, ...], has: Has) -> None:
    """Raise GStreamerMissingError, naming the package, if one of these elements is not installed."""
    for name in names:
        first_of((name,), has, "the pipeline cannot be built")


def bringing(name: str) -> str:
    """How to get an element, for messages."""
    package = _PACKAGES.get(name)
    if package is None:
        return f"apt-file search, or the vendor's documentation, says which package has {name}"
    return f"it comes with {package}" if package is _JETPACK else f"sudo apt-get install {package}"
