"""A manifest: a table, CSV or Parquet, with a video a row and what to track in it.

Columns: video (required), name, prompts (a prompts file), point, box, negative, text; several values in one cell are
separated by semicolons and written as on the command line. Relative paths count from the manifest's folder.
"""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from masklet.runtime.archive.video import ArchiveVideo, is_address
from masklet.runtime.concepts.concept import parse_concepts
from masklet.runtime.errors import MaskletError, SourceError
from masklet.runtime.prompts.syntax import parse_prompts
from masklet.runtime.startup.tracking_request import TrackingRequest

COLUMNS = ("video", "name", "prompts", "point", "negative", "box", "text")
SUFFIXES = (".csv", ".parquet")


def read_manifest(path: Path, common: TrackingRequest) -> list[ArchiveVideo]:
    """The videos of a manifest. common: what to track where a row names nothing.

    Raises SourceError for a file or column that is missing, MaskletError naming the row that cannot be read.
    """
    columns, rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    unknown = [name for name in columns if name not in COLUMNS]
    if "video" not in columns or unknown:
        wrong = "has no column video" if "video" not in columns else f"has an unknown column {unknown[0]!r}"
        raise SourceError(f"{path}: {wrong}; a manifest has the columns {', '.join(COLUMNS)}")
    videos = []
    for number, row in enumerate(rows, 2):
        try:
            videos.append(_video(row, path.parent, common))
        except MaskletError as error:
            raise type(error)(f"{path}, row {number}: {error}") from None
    return videos


def _video(row: Mapping[str, str], folder: Path, common: TrackingRequest) -> ArchiveVideo:
    source = row["video"]
    if not source:
        raise SourceError("its video is empty")
    source = source if is_address(source) else str((folder / source).resolve())
    if not is_address(source) and not Path(source).exists():
        raise SourceError(f"{source}: no such file or folder")
    cells = {name: [word.strip() for word in row.get(name, "").split(";") if word.strip()] for name in COLUMNS[2:]}
    request = common
    if any(cells.values()):
        schedule = parse_prompts(
            points=cells["point"],
            negatives=cells["negative"],
            boxes=cells["box"],
            masks=(),
            files=[str(folder / file) for file in cells["prompts"]],
        )
        request = TrackingRequest(schedule, parse_concepts(cells["text"], ()), common.found_with)
    name = row.get("name", "")
    if name and (name != Path(name).name or name.startswith(".")):
        raise SourceError(f"its name {name!r} is no name of a folder")
    return ArchiveVideo(source, request, name)


def _csv(path: Path) -> tuple[list[str], Iterable[Mapping[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = [{key: (value or "").strip() for key, value in row.items() if key} for row in reader]
            return list(reader.fieldnames or []), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SourceError(
            f"{path}: cannot be read as a manifest: {getattr(error, 'strerror', None) or error}"
        ) from None


def _parquet(path: Path) -> tuple[list[str], Iterable[Mapping[str, str]]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.read_table(path)
    except (OSError, ArrowException) as error:
        raise SourceError(f"{path}: cannot be read as a manifest: {str(error).splitlines()[0]}") from None
    rows = ({key: "" if value is None else str(value) for key, value in row.items()} for row in table.to_pylist())
    return list(table.column_names), rows
