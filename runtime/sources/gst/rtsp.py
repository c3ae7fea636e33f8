"""RTSP streams over TCP by GStreamer; the decoder is chosen when the server says which codec it sends."""

from typing import Any
from urllib.parse import unquote, urlsplit

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst import pipelines
from masklet.runtime.sources.gst.bus import RTSP_SOURCE, parse
from masklet.runtime.sources.gst.device import TIMEOUT_S, PipelineDevice, scale_within
from masklet.runtime.sources.gst.elements import CODECS, Has, require
from masklet.runtime.sources.source import Cut

ENTRY = "masklet_entry"  # name of the element that gets the RTP packets


class RtspDevice(PipelineDevice):
    """One connection to a server.

    The time-out counts from the last frame that came in, decoded or not: a camera may send a key frame every ten
    seconds only. name: the address without its password.
    """

    def __init__(
        self, gst: Any, url: str, name: str, cut: Cut, newest: bool, has: Has, timeout_s: float = TIMEOUT_S
    ) -> None:
        require(("rtspsrc",), has)
        self._has, self._cut = has, cut
        self._video: Any = None
        text = f"rtspsrc name={RTSP_SOURCE} protocols=tcp latency=0 {pipelines.sink(newest)}"
        pipeline = parse(gst, name, text)
        source = pipeline.get_by_name(RTSP_SOURCE)
        _point_at(source, url, int(timeout_s * 1_000_000))
        self._source = source
        self._handlers = [
            source.connect("select-stream", lambda source, number, caps: _is_video(caps)),
            source.connect("pad-added", self._decode),
        ]
        self._entry: tuple[Any, int] | None = None
        super().__init__(gst, name, pipeline, pipeline.get_by_name(pipelines.SINK), cut, timeout_s)

    def _decode(self, source: Any, pad: Any) -> None:
        """Decode the first video of the server; called by a thread of GStreamer's."""
        caps = pad.get_current_caps() or pad.query_caps(None)
        if self._video is not None or not _is_video(caps):
            return
        self._video = pad
        try:
            self._link(pad, caps.get_structure(0).get_string("encoding-name") or "")
        except SourceError as error:  # raised here it would be lost in GStreamer's thread
            self.fail(error)

    def _link(self, pad: Any, encoding: str) -> None:
        codec = CODECS.get(encoding)
        if codec is None:
            chain = decoder = "decodebin"
        else:
            require((codec.depay,), self._has)
            chain, decoder = pipelines.decode(codec, self._has)
            chain = f"{codec.depay} ! {chain}"
        first, _, rest = f"{chain} ! {pipelines.to_host(decoder, self._has)}".partition(" ")
        part = self._gst.parse_bin_from_description(f"{first} name={ENTRY} {rest}", False)
        entry = self._gst.GhostPad.new("sink", part.get_by_name(ENTRY).get_static_pad("sink"))
        part.add_pad(entry)
        part.add_pad(self._gst.GhostPad.new("src", part.get_by_name(pipelines.SIZE).get_static_pad("src")))
        scale_within(self._gst, part, self._cut)
        self._pipeline.add(part)
        part.link(self._sink)
        part.sync_state_with_parent()
        buffers = self._gst.PadProbeType.BUFFER | self._gst.PadProbeType.BUFFER_LIST
        self._entry = entry, entry.add_probe(buffers, self._came)
        pad.link(entry)

    def close(self) -> None:
        """Stop, and take this object out of the pipeline, which would otherwise keep it and thereby itself alive."""
        super().close()
        for handler in self._handlers:
            self._source.disconnect(handler)
        self._handlers = []
        if self._entry is not None:
            pad, probe = self._entry
            pad.remove_probe(probe)
            self._entry = None

    def _came(self, pad: Any, info: Any) -> Any:
        self.alive()
        return self._gst.PadProbeReturn.OK


def _point_at(source: Any, url: str, timeout_us: int) -> None:
    """Give the source its address, with user and password apart: what it reports then has no password in it."""
    parts = urlsplit(url)
    user, _, host = parts.netloc.rpartition("@")
    source.set_property("location", parts._replace(netloc=host).geturl())
    if user:
        name, _, word = user.partition(":")
        source.set_property("user-id", unquote(name))
        source.set_property("user-pw", unquote(word))
    source.set_property("tcp-timeout", timeout_us)


def _is_video(caps: Any) -> bool:
    return caps is not None and caps.get_structure(0).get_string("media") == "video"
