"""csi://0, gst:PIPELINE: a camera on a Jetson's CSI connector, or any GStreamer pipeline."""

from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind
from masklet.runtime.sources.password import hide_password
from masklet.runtime.sources.reader import GSTREAMER, OPENCV, READER, read_by

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def open_gstreamer(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """A pipeline, built for csi:// and taken as it is for gst:."""
    from masklet.runtime.sources import opencv_pipeline
    from masklet.runtime.sources.gst import feeds

    name = hide_password(spec)
    csi = spec.startswith("csi:")
    readers = {
        GSTREAMER: lambda: feeds.open_csi(spec, cut, options) if csi else feeds.open_own(name, spec, cut, options),
        OPENCV: lambda: opencv_pipeline.open_pipeline(name, spec, cut, options),
    }
    return read_by(name, options, readers, can_fall_back=opencv_pipeline.has_gstreamer)


SOURCE = SourceKind(
    "csi://0, gst:PIPELINE",
    lambda spec: spec.startswith(("csi:", "gst:")),
    open_gstreamer,
    options=(READER,),
    order=80,
)
