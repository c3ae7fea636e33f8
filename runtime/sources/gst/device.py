"""A playing pipeline as a device: pictures from its appsink, errors from its bus."""

import time
from typing import Any

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst.bus import check
from masklet.runtime.sources.gst.elements import CODECS
from masklet.runtime.sources.gst.pictures import picture_of, rate_of
from masklet.runtime.sources.gst.pipelines import SCALER, SIZE
from masklet.runtime.sources.live import LostError, Picture
from masklet.runtime.sources.source import Cut

TIMEOUT_S = 5.0  # without a frame, the device counts as lost
DEFAULT_RATE = 30.0
LOOK_S = 0.1  # how often the bus is read while no frame comes


class PipelineDevice:
    """Plays a pipeline until it is closed.

    pipeline:  with an appsink `sink` in it; it is started here.
    cut:       frames are scaled to its size within the pipeline, where the pipeline states a size.
    timeout_s: LostError after so long without a frame.
    """

    def __init__(self, gst: Any, name: str, pipeline: Any, sink: Any, cut: Cut, timeout_s: float = TIMEOUT_S) -> None:
        self._gst, self._name, self._pipeline, self._sink = gst, name, pipeline, sink
        self.rate, self._timeout_s = DEFAULT_RATE, timeout_s
        self._fault: SourceError | None = None
        self._last_s = time.monotonic()
        scale_within(gst, pipeline, cut)
        pipeline.set_state(gst.State.PLAYING)  # that it fails is told by the bus

    @property
    def about(self) -> str:
        """What reads and decodes, as far as is known; all of it once a picture came."""
        return ", ".join(["GStreamer", *_decoding(self._gst, self._pipeline)])

    def read(self) -> Picture | None:
        self.alive()
        while True:
            sample = self._sink.try_pull_sample(int(LOOK_S * self._gst.SECOND))
            if sample is not None:
                self.rate = rate_of(sample.get_caps()) or self.rate
                return picture_of(self._gst, self._name, sample)
            if self._fault is not None:
                raise self._fault
            check(self._gst, self._name, self._pipeline)
            if time.monotonic() - self._last_s > self._timeout_s:
                raise LostError(f"{self._name}: nothing came for {self._timeout_s:g} s")

    def alive(self) -> None:
        """Something came, if not yet a whole frame: the time-out begins again."""
        self._last_s = time.monotonic()

    def fail(self, error: SourceError) -> None:
        """Let the reading thread raise an error that a thread of GStreamer's found."""
        self._fault = self._fault or error

    def close(self) -> None:
        self._pipeline.set_state(self._gst.State.NULL)


def scale_within(gst: Any, where: Any, cut: Cut) -> None:
    """Let a pipeline, or a part of one, scale frames to the size that is delivered, once it knows what comes."""
    scaler, wanted = where.get_by_name(SCALER), where.get_by_name(SIZE)
    if wanted is None or cut.max_side is None:
        return
    layouts = wanted.get_property("caps")

    def size_known(pad: Any, info: Any) -> Any:
        event = info.get_event()
        if event.type == gst.EventType.CAPS:
            came = event.parse_caps().get_structure(0)
            height, width = cut.delivered_hw((came.get_value("height"), came.get_value("width")))
            sized = gst.Caps.from_string(f"video/x-raw,width={width},height={height}")
            wanted.set_property("caps", layouts.intersect(sized))
        return gst.PadProbeReturn.OK

    scaler.get_static_pad("sink").add_probe(gst.PadProbeType.EVENT_DOWNSTREAM, size_known)


def _decoding(gst: Any, pipeline: Any) -> list[str]:
    """Which element decodes which codec in a pipeline that plays: "decoding H.264 by avdec_h264"."""
    names = {codec.media: codec.name for codec in CODECS.values()}
    found: list[str] = []
    elements = pipeline.iterate_recurse()
    while True:
        result, element = elements.next()
        if result != gst.IteratorResult.OK:
            return found
        factory = element.get_factory()
        kind = factory.get_metadata("klass")
        if "Decoder" in kind and ("Video" in kind or "Image" in kind):
            caps = element.get_static_pad("sink").get_current_caps()
            media = "" if caps is None else caps.get_structure(0).get_name()
            found.append(f"decoding {names.get(media, media)} by {factory.get_name()}")
