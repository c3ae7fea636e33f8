"""drive.mcap, a ROS 2 bag: the images of one topic."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.option import Option
from masklet.runtime.sources.kind import SourceKind

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source

TOPIC = Option("topic", "Topic of a bag, such as /camera/image_raw; not needed if only one has images.", metavar="NAME")


def is_bag(spec: str) -> bool:
    """Whether a SOURCE is an MCAP file, a file of a ROS 2 bag, or its folder."""
    path = Path(spec)
    return (path / "metadata.yaml").is_file() or (path.suffix.lower() in (".mcap", ".db3") and path.is_file())


def open_bag(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """The images of the topic that `--topic` names."""
    from masklet.runtime.sources.bags.bag import Bag

    return Bag(spec, Path(spec), options.settings.get(TOPIC.name), cut)


SOURCE = SourceKind("a bag (.mcap, .db3, or a folder)", is_bag, open_bag, feed=False, options=(TOPIC,), order=5)
