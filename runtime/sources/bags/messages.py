"""The messages of one topic of a bag, in the order in which they were recorded."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.bags.mcap_file import open_mcap
from masklet.runtime.sources.bags.ros_bag import open_ros_bag
from masklet.runtime.sources.bags.topic import OpenBag, Topic


class BagMessages:
    """The images of a topic.

    wanted: the topic to read; None for the only one that has images.
    Raises SourceError if the bag cannot be read, or has no such topic.
    """

    def __init__(self, name: str, path: Path, wanted: str | None) -> None:
        self._name, self._path = name, path
        with self._opened() as bag:
            self.topic = _choose(name, bag.topics(), wanted)

    def raw(self) -> Iterator[tuple[int, bytes]]:
        """Time of recording in nanoseconds, and serialized message, of each image. Raises SourceError."""
        with self._opened() as bag:
            yield from bag.messages(self.topic)

    @contextmanager
    def _opened(self) -> Iterator[OpenBag]:
        """The open bag; whatever goes wrong with it is one line."""
        is_mcap = self._path.suffix.lower() == ".mcap" and self._path.is_file()
        try:
            with open_mcap(self._path, self._name) if is_mcap else open_ros_bag(self._path) as bag:
                yield bag
        except (SourceError, GeneratorExit):
            raise
        except ImportError:
            raise SourceError(f"{self._name}: bags need rosbags and mcap; pip install 'masklet[bags]'") from None
        except PermissionError:
            raise SourceError(f"{self._name}: permission denied") from None
        except Exception as error:  # readers of a damaged file raise whatever its bytes lead to
            why = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            repair = "`mcap recover` (mcap.dev) repairs an MCAP file, `ros2 bag reindex` a folder"
            raise SourceError(f"{self._name}: the bag is damaged ({why}); {repair}") from None


def _choose(name: str, topics: Sequence[Topic], wanted: str | None) -> Topic:
    images = [topic for topic in topics if topic.has_images]
    listed = ", ".join(f"{topic.name} ({topic.count})" for topic in images) or "none"
    if wanted is None:
        if len(images) != 1:
            raise SourceError(f"{name}: give --topic; its topics with images: {listed}")
        return images[0]
    found = next((topic for topic in topics if topic.name == wanted), None)
    if found is None:
        raise SourceError(f"{name}: has no topic {wanted}; its topics with images: {listed}")
    if not found.has_images:
        raise SourceError(f"{name}: {wanted} has {found.type}, not images; its topics with images: {listed}")
    return found
