"""The masks of a video as Parquet: a row per object and frame."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

ROWS = 4096  # frames of a row group


def write_parquet(lines: Path, table: Path) -> None:
    """Write a file of JSON lines, as `masklet run --masks` writes it, as Parquet.

    Columns: frame, time_s, id, score, bbox [x, y, w, h], height, width, counts (COCO RLE), phrase, presence, stale.
    Frames without objects have no row; result.json has their number.
    """
    import pyarrow
    from pyarrow import parquet

    schema = pyarrow.schema(
        [
            ("frame", pyarrow.int64()),
            ("time_s", pyarrow.float64()),
            ("id", pyarrow.int64()),
            ("score", pyarrow.float64()),
            ("bbox", pyarrow.list_(pyarrow.int32(), 4)),
            ("height", pyarrow.int32()),
            ("width", pyarrow.int32()),
            ("counts", pyarrow.string()),
            ("phrase", pyarrow.string()),
            ("presence", pyarrow.float64()),
            ("stale", pyarrow.int32()),
        ]
    )
    with lines.open("rb") as file, parquet.ParquetWriter(table, schema, compression="zstd") as writer:
        while batch := list(islice(file, ROWS)):
            writer.write_table(pyarrow.Table.from_pylist([row for line in batch for row in _rows(line)], schema))


def _rows(line: bytes) -> Iterator[dict[str, Any]]:
    frame = msgspec.json.decode(line)
    for one in frame["objects"]:
        height, width = one["segmentation"]["size"]
        optional = {name: one.get(name) for name in ("phrase", "presence", "stale")}
        yield {
            "frame": frame["frame"],
            "time_s": frame["time_s"],
            "id": one["id"],
            "score": one["score"],
            "bbox": one["bbox"],
            "height": height,
            "width": width,
            "counts": one["segmentation"]["counts"],
            **optional,
        }
