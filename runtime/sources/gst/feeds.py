"""Cameras, streams and pipelines as live sources, read by GStreamer."""

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst import pipelines
from masklet.runtime.sources.gst.bus import parse
from masklet.runtime.sources.gst.device import TIMEOUT_S, PipelineDevice
from masklet.runtime.sources.gst.elements import has_element
from masklet.runtime.sources.gst.library import load_gstreamer
from masklet.runtime.sources.gst.rtsp import RtspDevice
from masklet.runtime.sources.live import LiveSource
from masklet.runtime.sources.source import Cut, FeedOptions


def open_csi(name: str, cut: Cut, options: FeedOptions) -> LiveSource:
    """A camera on a Jetson's CSI connector. Raises SourceError."""
    return _playing(name, pipelines.csi_pipeline(name, options, has_element), cut)


def open_v4l2(path: str, cut: Cut, options: FeedOptions) -> LiveSource:
    """A V4L2 camera by its device file. Raises SourceError."""
    return _playing(path, pipelines.camera_pipeline(path, options, has_element), cut)


def open_own(name: str, spec: str, cut: Cut, options: FeedOptions) -> LiveSource:
    """A user's pipeline, gst:PIPELINE. name: without passwords. Raises SourceError."""
    return _playing(name, pipelines.own_pipeline(name, spec, options, has_element), cut)


def open_rtsp(url: str, name: str, cut: Cut, options: FeedOptions, timeout_s: float = TIMEOUT_S) -> LiveSource:
    """An RTSP server. name: the address without its password. Raises SourceError."""
    if options.asks_format:
        raise SourceError(f"{name}: an RTSP server decides size, rate and format; --max-side shrinks its frames")
    gst = load_gstreamer()
    return LiveSource(name, lambda: RtspDevice(gst, url, name, cut, options.newest, has_element, timeout_s), cut)


def _playing(name: str, text: str, cut: Cut) -> LiveSource:
    """A pipeline, which is built anew at each connection."""
    gst = load_gstreamer()

    def connect() -> PipelineDevice:
        pipeline = parse(gst, name, text)
        result, sink = pipeline.iterate_all_by_element_factory_name("appsink").next()
        if result != gst.IteratorResult.OK:
            raise SourceError(f"{name}: is not a pipeline with an appsink")
        return PipelineDevice(gst, name, pipeline, sink, cut)

    return LiveSource(name, connect, cut)
