"""MCAP: the messages of `masklet run --mcap`, for ROS 2's and Foxglove's tools."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults
    from masklet.runtime.convert.labelled_frame import LabelledFrames
    from masklet.runtime.masks.mask_lines import MaskLine
    from masklet.runtime.results import FrameResult


def write_mcap(clip: "ClipResults", target: Path) -> None:
    """A file with four messages a frame, at the times of the masks file, counted from 1970."""
    import os

    from masklet.runtime.masks.mask_lines import MaskLines
    from masklet.runtime.sinks.mcap_log import McapLog

    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with McapLog(beside, began_ns=0, frame_id="") as log:
            for line in MaskLines(clip.path):
                log.add(_result(line, clip.hw, clip.names))
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)


def _result(line: "MaskLine", hw: tuple[int, int], names: Mapping[int, str]) -> "FrameResult":
    import numpy as np
    from masklet.runtime.results import Finding, FrameResult

    boxes = [(x, y, x + w, y + h) for x, y, w, h in (one.bbox for one in line.objects)]
    findings = tuple(Finding(names.get(one.id, one.phrase), one.presence) for one in line.objects)
    stale = np.array([one.stale for one in line.objects], np.int64)
    return FrameResult(
        frame_index=line.frame,
        time_s=line.time_s,
        object_ids=np.array([one.id for one in line.objects], np.int64),
        masks=np.array([one.segmentation.mask() for one in line.objects], np.bool_).reshape(-1, *hw),
        boxes_xyxy=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array([one.score for one in line.objects], np.float32),
        findings=findings if any(one != Finding(None, None) for one in findings) else (),
        stale=stale if stale.any() else None,
    )


def read_mcap(source: Path) -> "LabelledFrames":
    """The lines of /masklet/objects, with every mask whole. Raises MasksError where the file has no such topic."""
    import msgspec
    from masklet.runtime.convert.labelled_frame import LabelledFrame, LabelledMask
    from masklet.runtime.errors import MasksError
    from masklet.runtime.masks.mask_lines import MaskLine
    from masklet.runtime.sinks.mcap_log import OBJECTS
    from masklet.runtime.sinks.ros_messages import TEXT
    from masklet.runtime.sources.bags.images import types
    from masklet.runtime.sources.bags.messages import opened_bag

    with opened_bag(OBJECTS, source) as bag:
        topic = next((one for one in bag.topics() if (one.name, one.type) == (OBJECTS, TEXT)), None)
        if topic is None:
            raise MasksError(f"has no topic {OBJECTS}, which `masklet run --mcap` writes")
        texts = (types().deserialize_cdr(data, TEXT).data for _, data in bag.messages(topic))
        for line in (msgspec.json.decode(text, type=MaskLine) for text in texts):
            objects = [LabelledMask(o.id, o.segmentation.mask(), o.phrase, o.score) for o in line.objects]
            yield LabelledFrame(line.frame, objects, line.time_s)


FORMAT = Format("mcap", "ROS 2 and Foxglove messages, as --mcap writes them, one file", ".mcap", write_mcap, read_mcap)
