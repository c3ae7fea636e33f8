"""Masks as JSON lines: one line per frame, masks as COCO RLE."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from masklet.runtime.closing import Closing
from masklet.runtime.errors import SinkError
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.output_file import OutputFile


class MasksJsonl(Closing):
    """One JSON object per line, one line per frame; pycocotools reads the masks.

    {"frame": 0, "time_s": 0.0, "objects": [{"id": 1, "score": 0.93, "bbox": [x, y, w, h],
     "segmentation": {"size": [h, w], "counts": "<COCO RLE>"}}]}

    An object that is not visible stays in the list, with an empty mask and the box [0, 0, 0, 0]. Objects of a phrase
    also have "phrase" and "presence", and are in the list only while they are visible. An object that was not segmented
    on this frame, but moved from an earlier one, has "stale": how many frames ago that was.

    keep: continue an existing file after this number of bytes, instead of replacing it.
    """

    def __init__(self, path: str | Path, keep: int | None = None) -> None:
        self._file = OutputFile(Path(path), keep)

    @property
    def written(self) -> int:
        """Bytes in the file, including those that were kept."""
        return self._file.written

    def write(self, frame: Frame, result: FrameResult) -> None:
        line = frame_record(result)
        whole = self._file.written
        try:
            self._file.write(json.dumps(line).encode() + b"\n")
        except SinkError:
            self._file.drop_after(whole)
            raise

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True)
class WrittenMasks:
    """How far masks were written: bytes of complete lines, and the last frame in them; None if there is none."""

    size: int = 0
    frame: int | None = None
    time_s: float = 0.0


class _LineHead(msgspec.Struct):
    frame: int
    time_s: float


def written_masks(path: Path, up_to: int | None) -> WrittenMasks:
    """Read a file that `MasksJsonl` wrote. up_to: last frame that counts; None for all.

    Reading ends at the first line that is incomplete or not in this format.
    """
    there = WrittenMasks()
    with path.open("rb") as file:
        for line in file:
            try:
                head = msgspec.json.decode(line, type=_LineHead)
            except msgspec.MsgspecError:
                break
            if not line.endswith(b"\n"):
                break
            there = WrittenMasks(there.size + len(line), head.frame, head.time_s)
            if there.frame == up_to:
                break
    return there


def frame_record(result: FrameResult) -> dict[str, Any]:
    """The line of a frame as written by MasksJsonl."""
    return {"frame": result.frame_index, "time_s": round(result.time_s, 6), "objects": object_records(result)}


def object_records(result: FrameResult) -> list[dict[str, Any]]:
    """The objects of a frame as written by MasksJsonl: id, score, bbox (x, y, w, h in pixels), COCO RLE.

    Results with findings also have phrase and presence, which may be null.
    """
    from pycocotools import mask as coco

    count, height, width = result.masks.shape
    columns = np.empty((count, width, height), np.uint8)  # COCO run lengths go down the columns
    for mask, turned in zip(result.masks, columns, strict=True):
        cv2.transpose(mask.view(np.uint8), dst=turned)
    runs = coco.encode(columns.transpose(2, 1, 0)) if count else []
    records: list[dict[str, Any]] = []
    for n, run in enumerate(runs):
        x0, y0, x1, y1 = result.boxes_xyxy[n].astype(int).tolist()
        records.append(
            {
                "id": int(result.object_ids[n]),
                "score": round(float(result.scores[n]), 5),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "segmentation": {"size": [height, width], "counts": run["counts"].decode("ascii")},
            }
        )
    for record, finding in zip(records, result.findings, strict=False):  # empty without a phrase
        presence = None if finding.presence is None else round(finding.presence, 5)
        record.update(phrase=finding.phrase, presence=presence)
    for record, frames in zip(records, () if result.stale is None else result.stale.tolist(), strict=False):
        if frames:
            record["stale"] = frames
    return records
