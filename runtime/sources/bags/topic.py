"""A topic with images, and the protocol of the files that have some."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic: its name, the type of its messages, and how many there are."""

    name: str
    type: str
    count: int

    @property
    def has_images(self) -> bool:
        return self.type in (IMAGE, COMPRESSED)


class OpenBag(Protocol):
    """An open bag. reversible: whether its messages can be read backwards."""

    @property
    def reversible(self) -> bool: ...

    def topics(self) -> list[Topic]: ...

    def messages(self, topic: Topic, *, reverse: bool = False) -> Iterator[tuple[int, bytes]]:
        """Time of recording in nanoseconds, and serialized message, in the order of time, or from the last one on."""
        ...
