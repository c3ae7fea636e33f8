"""The images of a bag's topic as a source of frames."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.bags.images import rgb_of
from masklet.runtime.sources.bags.messages import BagMessages
from masklet.runtime.sources.source import U8, Cut, Source

DEFAULT_RATE = 30.0


class Bag(Source):
    """Images in the order of their recording; the index of a frame counts the messages of the topic.

    The time of a frame is that of its recording, as `ros2 bag play` uses it, counted from the topic's first message.
    A damaged image is left out and counted, and keeps its index.

    topic: None for the only topic that has images.
    Raises SourceError.
    """

    def __init__(self, name: str, path: Path, topic: str | None, cut: Cut) -> None:
        self.name = name
        self._bag = BagMessages(name, path, topic)
        if cut.reverse and not self._bag.reversible:
            raise SourceError(
                f"{name}: only an MCAP file with its index is read backwards; `ros2 bag convert` writes one, "
                "`mcap recover` repairs one"
            )
        self._origin_ns, self._hw, rate = self._first()
        super().__init__(name, cut, self._hw, rate, self._bag.topic.count)
        self.began_ns = self._origin_ns

    def __iter__(self) -> Iterator[Frame]:
        self.corrupt = delivered = 0
        wanted = self.cut.indices(self._bag.topic.count)
        indices = range(self._bag.topic.count)[:: -1 if self.cut.reverse else 1]
        for index, (time_ns, data) in zip(indices, self._bag.raw(reverse=self.cut.reverse), strict=False):
            if index not in wanted:
                continue
            image = self._decoded(data)
            if image is None:
                self.corrupt += 1
                continue
            if image.shape[:2] != self._hw:
                height, width = self._hw
                raise SourceError(
                    f"{self.name}: image {index} of {self._bag.topic.name} is {image.shape[1]}x{image.shape[0]} after "
                    f"images of {width}x{height}; a bag must keep its size"
                )
            delivered += 1
            yield Frame(index, (time_ns - self._origin_ns) / 1e9, self.cut.shrink(image))
            if index == wanted[-1]:
                break
        if not delivered:
            raise SourceError(f"{self.name}: none of {self.range} can be decoded")

    def _decoded(self, data: bytes) -> U8 | None:
        return rgb_of(self.name, data, self._bag.topic.type)

    def _first(self) -> tuple[int, tuple[int, int], float]:
        """Time of the first message, height and width of the first image, and the rate between the first messages."""
        times: list[int] = []
        hw: tuple[int, int] | None = None
        for time_ns, data in self._bag.raw():
            times.append(time_ns)
            image = self._decoded(data) if hw is None else None
            hw = hw if image is None else (image.shape[0], image.shape[1])
            if hw is not None and len(times) >= 10:
                break
        if hw is None:
            raise SourceError(f"{self.name}: no image of {self._bag.topic.name} can be decoded")
        gaps = sorted(after - before for before, after in pairwise(times) if after > before)
        return times[0], hw, 1e9 / gaps[len(gaps) // 2] if gaps else DEFAULT_RATE
