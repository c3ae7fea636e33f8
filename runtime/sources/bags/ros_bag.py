"""ROS 2 bags, a folder or a .db3 file, by rosbags."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from masklet.runtime.sources.bags.topic import Topic


class RosBag:
    """An open bag, which rosbags reads forwards only."""

    reversible = False

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def topics(self) -> list[Topic]:
        topics = sorted(self._reader.topics.items())
        return [Topic(name, info.msgtype or "several types", info.msgcount) for name, info in topics]

    def messages(self, topic: Topic, *, reverse: bool = False) -> Iterator[tuple[int, bytes]]:
        wanted = [one for one in self._reader.connections if one.topic == topic.name]
        yield from ((time_ns, data) for _, time_ns, data in self._reader.messages(wanted))


@contextmanager
def open_ros_bag(path: Path) -> Iterator[RosBag]:
    """Open a bag."""
    from rosbags.rosbag2 import Reader

    with Reader(path) as reader:
        yield RosBag(reader)
