"""A folder of images, or one image."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.sources.kind import SourceKind

if TYPE_CHECKING:
    from masklet.runtime.sources.source import Cut, FeedOptions, Source


def is_images(spec: str) -> bool:
    """Whether a SOURCE is a folder, or a file whose name says that it is an image."""
    from masklet.runtime.sources.image_files import is_image

    path = Path(spec)
    return path.is_dir() or (is_image(path) and path.is_file())


def open_images(spec: str, cut: "Cut", options: "FeedOptions") -> "Source":
    """The images in natural order."""
    from masklet.runtime.sources.image_files import ImageFiles, list_images

    path = Path(spec)
    return ImageFiles(spec, list_images(path) if path.is_dir() else [path], cut)


SOURCE = SourceKind("a folder of images or an image", is_images, open_images, feed=False, order=10)
