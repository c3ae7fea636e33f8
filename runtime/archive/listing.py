"""Finds the videos of an archive: files, folders of images, patterns, URLs and manifests."""

import glob
from collections.abc import Sequence
from pathlib import Path

from masklet.runtime.archive.manifest import SUFFIXES, read_manifest
from masklet.runtime.archive.video import ArchiveVideo, is_address
from masklet.runtime.errors import SourceError
from masklet.runtime.startup.tracking_request import TrackingRequest

PATTERN = "*?["


def list_videos(sources: Sequence[str], common: TrackingRequest) -> list[ArchiveVideo]:
    """The videos, each once, in the order in which they are named.

    common: what to track where a manifest names nothing. Raises SourceError for a source that names no video, or two
    videos of one name; PromptError if there is nothing to track in one of them.
    """
    videos: dict[str, ArchiveVideo] = {}
    for source in sources:
        for video in _of(source, common):
            known = videos.setdefault(video.name, video)
            if known.source != video.source:
                raise SourceError(f"{video.source} and {known.source} are both called {video.name!r}; rename one")
    for video in videos.values():
        video.request.check_given(f" in {video.source}")
    return list(videos.values())


def _of(source: str, common: TrackingRequest) -> list[ArchiveVideo]:
    if is_address(source):
        paths = _at_address(source)
    elif Path(source).suffix in SUFFIXES:
        return read_manifest(Path(source), common)
    elif Path(source).exists():
        paths = [str(Path(source).resolve())]
    else:
        paths = [str(Path(path).resolve()) for path in sorted(glob.glob(source, recursive=True))]
    if not paths:
        what = "nothing matches it" if any(sign in source for sign in PATTERN) else "no such file or folder"
        raise SourceError(f"{source}: {what}; give videos, folders of images, patterns, URLs or a manifest")
    return [ArchiveVideo(path, common) for path in paths]


def _at_address(source: str) -> list[str]:
    """The URLs that a pattern names. Raises SourceError if the store cannot be reached."""
    if not any(sign in source for sign in PATTERN):
        return [source]
    import fsspec

    try:
        files, path = fsspec.core.url_to_fs(source)
        return [files.unstrip_protocol(found) for found in sorted(files.glob(path))]
    except Exception as error:  # every store raises its own
        raise SourceError(f"{source}: cannot be listed: {_line(error)}") from None


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
