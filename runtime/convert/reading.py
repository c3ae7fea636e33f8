"""Reads what another tool has written, as a masks file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from masklet.runtime.convert.clip_results import UNNAMED
from masklet.runtime.convert.format import Format
from masklet.runtime.convert.labelled_frame import LabelledFrame
from masklet.runtime.errors import MaskletError, MasksError
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.results import Finding, FrameResult
from masklet.runtime.sinks.json_lines import object_records

OWN = "masks"  # the name of the format that `masklet run --masks` writes


@contextmanager
def as_masks(source: Path, of: Format) -> Iterator[Path]:
    """A masks file of what `source` holds: itself, where it is one, or one that is gone after the block.

    Raises MasksError naming the source, and in it what is wrong.
    """
    if of.name == OWN:
        yield source
        return
    if of.read is None:
        raise MasksError(f"--from {of.name}: has no ids of objects, so its masks cannot be put together again")
    if not source.exists():
        raise MasksError(f"{source}: no such file or folder")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{source.stem}.jsonl"
        try:
            with path.open("wb") as file:
                for frame in of.read(source):
                    file.write(_line(frame))
        except MaskletError as error:
            raise MasksError(f"{source}: {error}") from None
        except OSError as error:
            raise MasksError(f"{source}: cannot be read: {error.strerror}") from None
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, IndexError, SyntaxError) as error:
            raise MasksError(f"{source}: is not read as {of.name}: {' '.join(str(error).split())}") from None
        yield path


def _line(frame: LabelledFrame) -> bytes:
    """A line of a masks file. Raises MasksError for masks of several sizes, or an id that is there twice."""
    ids = [one.id for one in frame.objects]
    if len(set(ids)) < len(ids):
        raise MasksError(f"frame {frame.index} has an object twice; ids are {ids}")
    if len({one.mask.shape for one in frame.objects}) > 1:
        raise MasksError(f"frame {frame.index} has masks of several sizes")
    records = []
    if ids:
        masks = np.stack([one.mask for one in frame.objects])
        scores = np.array([one.score for one in frame.objects], np.float32)
        labels = [None if one.label == UNNAMED else one.label for one in frame.objects]
        findings = tuple(Finding(label, None) for label in labels) if any(labels) else ()
        index, ids_of = frame.index, np.array(ids, np.int64)
        records = object_records(FrameResult(index, frame.time_s, ids_of, masks, boxes_xyxy(masks), scores, findings))
    return msgspec.json.encode({"frame": frame.index, "time_s": frame.time_s, "objects": records}) + b"\n"
