"""The texts of pipelines, as gst-launch-1.0 takes them, built from the elements that are installed."""

import re

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst.elements import CODECS, GPU_MEMORY, Codec, Has, first_of, require
from masklet.runtime.sources.gst.library import GStreamerMissingError
from masklet.runtime.sources.source import FeedOptions

CSI_SIZE, CSI_RATE = (1920, 1080), 30.0
AHEAD = 4  # frames that wait in the pipeline if every frame is wanted
SINK, SCALER, SIZE = "masklet_sink", "masklet_scaler", "masklet_size"  # names of elements; SIZE states the wanted size
HOST_CAPS = "video/x-raw,format=(string){ I420, NV12, YUY2, UYVY, RGB }"

# FFmpeg's names of a camera's pixel formats, as elsewhere on the command line, and GStreamer's caps.
_CAMERA_CAPS = {
    "yuyv422": "video/x-raw,format=YUY2",
    "uyvy422": "video/x-raw,format=UYVY",
    "nv12": "video/x-raw,format=NV12",
    "yuv420p": "video/x-raw,format=I420",
    "gray": "video/x-raw,format=GRAY8",
    "mjpeg": "image/jpeg",
    "h264": "video/x-h264",
}
_CODEC_OF = {codec.media: codec for codec in CODECS.values()}


def to_host(after: str, has: Has) -> str:
    """Scale what an element delivers, in a format that can be taken out of the pipeline.

    On a Jetson its video engine scales and converts, and not the CPU; elsewhere YUV stays YUV, see yuv.py.
    """
    if after in GPU_MEMORY:
        require(("nvvidconv",), has)
        return f"nvvidconv name={SCALER} ! capsfilter name={SIZE} caps=video/x-raw,format=RGBA"
    require(("videoscale", "videoconvert"), has)
    return f'videoscale name={SCALER} ! videoconvert ! capsfilter name={SIZE} caps="{HOST_CAPS}"'


def sink(newest: bool) -> str:
    """The end of a pipeline. newest: only the latest frame waits, older ones are dropped; else the pipeline waits."""
    buffers = "max-buffers=1 drop=true" if newest else f"max-buffers={AHEAD} drop=false"
    return f"appsink name={SINK} {buffers} sync=false"


def decode(codec: Codec, has: Has) -> tuple[str, str]:
    """Elements that decode frames of a codec, and the decoder's name."""
    decoder = codec.decoder(has)
    if codec.parse:
        require((codec.parse,), has)
    return " ! ".join(name for name in (codec.parse, decoder) if name), decoder


def csi_pipeline(name: str, options: FeedOptions, has: Has) -> str:
    """The pipeline of csi://N: Argus captures into GPU memory. Raises SourceError."""
    sensor = re.fullmatch(r"csi:(?://)?(\d+)", name)
    if sensor is None:
        raise SourceError(f"{name}: expected csi://N, the number of a CSI camera, such as csi://0")
    if options.pixel_format is not None:
        raise SourceError(f"{name}: Argus delivers NV12 only; leave out --pixel-format")
    require(("nvarguscamerasrc",), has)
    width, height = options.size or CSI_SIZE
    caps = f"video/x-raw(memory:NVMM),format=NV12,width={width},height={height},{_rate(options.rate or CSI_RATE)}"
    camera = f"nvarguscamerasrc sensor-id={sensor[1]} ! {caps}"
    return f"{camera} ! {to_host('nvarguscamerasrc', has)} ! {sink(options.newest)}"


def camera_pipeline(path: str, options: FeedOptions, has: Has) -> str:
    """The pipeline of /dev/videoN; without a pixel format the camera sends uncompressed frames. Raises SourceError."""
    if options.pixel_format not in (None, *_CAMERA_CAPS):
        raise SourceError(
            f"{path}: unknown pixel format {options.pixel_format!r}; expected one of {', '.join(_CAMERA_CAPS)}"
        )
    require(("v4l2src",), has)
    kind = _CAMERA_CAPS[options.pixel_format] if options.pixel_format else "video/x-raw"
    caps = ",".join([kind, *_size(options), *([_rate(options.rate)] if options.rate else [])])
    chain, decoder = decode(_CODEC_OF[kind], has) if kind in _CODEC_OF else ("", "v4l2src")
    words = [f"v4l2src device={path}", caps, chain, to_host(decoder, has)]
    return f"{' ! '.join(word for word in words if word)} ! {sink(options.newest)}"


def own_pipeline(name: str, spec: str, options: FeedOptions, has: Has) -> str:
    """A user's pipeline, gst:PIPELINE; a sink is added if it has none. Raises SourceError."""
    pipeline = spec.removeprefix("gst:").strip()
    if not pipeline:
        raise SourceError("gst: expected a pipeline, such as gst:v4l2src ! videoconvert")
    if options.asks_format:
        raise SourceError(f"{name}: put size, rate and format into the pipeline, as caps")
    if re.search(r"\bappsink\b", pipeline):
        return pipeline
    return f"{pipeline} ! {to_host('', has)} ! {sink(options.newest)}"


def decoders(has: Has) -> list[str]:
    """What decodes each codec here, for `masklet doctor`: "H.264 by avdec_h264"."""
    lines = []
    for codec in CODECS.values():
        try:
            lines.append(f"{codec.name} by {first_of(codec.decoders, has, codec.name)}")
        except GStreamerMissingError as error:
            lines.append(str(error))
    return lines


def _size(options: FeedOptions) -> list[str]:
    return [] if options.size is None else [f"width={options.size[0]}", f"height={options.size[1]}"]


def _rate(rate: float) -> str:
    return f"framerate={round(rate * 1000)}/1000"
