"""csi://0, gst:PIPELINE: a camera on a Jetson's CSI connector, or any GStreamer pipeline."""

from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def open_gstreamer(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """A pipeline, built for csi:// and taken as it is for gst:."""
    from masklet.runtime.sources.gstreamer import open_pipeline

    return open_pipeline(spec, cut, options)


SOURCE = SourceKind("csi://0, gst:PIPELINE", lambda spec: spec.startswith(("csi:", "gst:")), open_gstreamer, order=80)
