"""The messages of one topic of a bag, in the order in which they were recorded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from masklet.runtime.errors import MaskletError, SourceError
from masklet.runtime.sources.bags.mcap_file import open_mcap
from masklet.runtime.sources.bags.ros_bag import open_ros_bag
from masklet.runtime.sources.bags.topic import OpenBag, Topic


class BagMessages:
    """The images of a topic.

    wanted: the topic to read; None for the only one that has messages with images.
    reversible: whether they can be read backwards.
    Raises SourceError if the bag cannot be read, or has no such topic.
    """

    def __init__(self, name: str, path: Path, wanted: str | None) -> None:
        self._name, self._path = name, path
        with opened_bag(self._name, self._path) as bag:
            self.topic, self.reversible = _choose(name, bag.topics(), wanted), bag.reversible

    def raw(self, *, reverse: bool = False) -> Iterator[tuple[int, bytes]]:
        """Time of recording in nanoseconds, and serialized message, of each image. Raises SourceError."""
        with opened_bag(self._name, self._path) as bag:
            count, time_ns = 0, 0
            try:
                for time_ns, data in bag.messages(self.topic, reverse=reverse):
                    count += 1
                    yield time_ns, data
            except (ImportError, OSError):
                raise
            except Exception as error:  # as in opened_bag
                where = f"after {count} of {self.topic.count} images, at {time_ns / 1e9:.3f} s: " if count else ""
                raise ValueError(f"{where}{_in_short(error)}") from None


@contextmanager
def opened_bag(name: str, path: Path) -> Iterator[OpenBag]:
    """An open bag; whatever goes wrong with it is a SourceError of one line, which begins with `name`."""
    is_mcap = path.suffix.lower() == ".mcap" and path.is_file()
    try:
        with open_mcap(path, name) if is_mcap else open_ros_bag(path) as bag:
            yield bag
    except MaskletError:
        raise
    except ImportError:
        raise SourceError(f"{name}: bags need rosbags and mcap; pip install 'masklet[bags]'") from None
    except PermissionError:
        raise SourceError(f"{name}: permission denied") from None
    except Exception as error:  # readers of a damaged file raise whatever its bytes lead to
        repair = "`mcap recover` (mcap.dev) repairs an MCAP file, `ros2 bag reindex` a folder"
        raise SourceError(f"{name}: the bag is damaged ({_in_short(error)}); {repair}") from None


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _choose(name: str, topics: Sequence[Topic], wanted: str | None) -> Topic:
    images = [topic for topic in topics if topic.has_images]
    listed = ", ".join(f"{topic.name} ({topic.count})" for topic in images) or "none"
    if wanted is None:
        filled = [topic for topic in images if topic.count]
        if not filled:
            others = ", ".join(f"{topic.name} ({topic.type}, {topic.count})" for topic in topics) or "none"
            raise SourceError(f"{name}: has no images; its topics: {others}")
        if len(filled) > 1:
            raise SourceError(f"{name}: give --topic; its topics with images: {listed}")
        return filled[0]
    found = next((topic for topic in topics if topic.name == wanted), None)
    if found is None:
        raise SourceError(f"{name}: has no topic {wanted}; its topics with images: {listed}")
    if not found.has_images:
        raise SourceError(f"{name}: {wanted} has {found.type}, not images; its topics with images: {listed}")
    if not found.count:
        raise SourceError(f"{name}: {wanted} has no messages; its topics with images: {listed}")
    return found
