"""Converts masks from one format to another, whole or not at all."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from masklet.runtime.convert.clip_results import ClipResults
from masklet.runtime.convert.format import Format
from masklet.runtime.convert.reading import as_masks
from masklet.runtime.errors import SinkError
from masklet.runtime.sinks.output_file import check_parent


def convert_masks(
    source: Path,
    of: Format,
    to: Format,
    target: Path | None,
    names: Mapping[int, str],
    images: str,
    *,
    replace: bool,
) -> str:
    """Write masks in another format. Returns what was written, in a line.

    source: a masks file, or what the format `of` has. names, images: as in ClipResults. replace: what is
    there already; SinkError otherwise.
    """
    target = target or to.default_target(source)
    if target.exists() and not replace:
        raise SinkError(f"{target}: is there already; --force replaces it")
    check_parent(target)
    with as_masks(source, of) as masks:
        clip = ClipResults(masks, names, images)
        if to.is_folder:
            _write_folder(clip, to, target)
        else:
            to.write(clip, target)
        labels = clip.labels
    return f"{target}: {len(labels)} labels ({', '.join(labels)}), {to.what}"


def _write_folder(clip: ClipResults, to: Format, target: Path) -> None:
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        beside.mkdir()
        to.write(clip, beside)
        if target.is_dir():
            shutil.rmtree(target)
        elif target.exists():
            raise SinkError(f"{target}: is a file; {to.name} is a folder")
        beside.replace(target)
    except OSError as error:
        raise SinkError(f"{target}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
