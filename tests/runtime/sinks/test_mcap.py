"""--mcap: what other tools read in it is what was tracked."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.errors import SinkError
from masklet.runtime.results import Finding, Frame, FrameResult
from masklet.runtime.sinks.kind import Opening
from masklet.runtime.sinks.kinds.mcap import SINK
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from pycocotools import mask as coco
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from written_bags import BEGIN_NS, raw, write_mcap

STEP_NS = 41_666_667


def a_result(index: int) -> FrameResult:
    """Two masks that overlap, and one that is empty."""
    masks = np.zeros((3, 20, 30), bool)
    masks[0, 2:10, 3:12] = masks[1, 6:15, 8 + index : 20] = True
    boxes = np.array([[3, 2, 12, 10], [8 + index, 6, 20, 15], [0, 0, 0, 0]], np.float32)
    scores = np.array([0.5, 0.9, 0.1], np.float32)
    found = (Finding("a red car", 0.9), Finding("a dog", 0.8), Finding("a dog", 0.8))
    return FrameResult(index, index * STEP_NS / 1e9, np.array([1, 300, 7]), masks, boxes, scores, found)


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "out.mcap"
    sink = SINK.open(path, Opening(24.0, began_ns=BEGIN_NS, settings={"mcap_frame_id": "camera"}))
    for index in range(5):
        result = a_result(index)
        sink.write(Frame(index, result.time_s, np.zeros((20, 30, 3), np.uint8)), result)
    sink.close()
    sink.close()
    return path


def messages(path: Path, topic: str) -> list[tuple[int, Any]]:
    """Time and content of a topic's messages, decoded by the schemas that the file itself states."""
    store = get_typestore(Stores.EMPTY)
    with Reader(path) as bag:
        for connection in bag.connections:
            if connection.msgtype not in store.types:
                store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
        wanted = [one for one in bag.connections if one.topic == topic]
        return [(time_ns, store.deserialize_cdr(data, c.msgtype)) for c, time_ns, data in bag.messages(wanted)]


def test_times_ids_boxes_and_masks_are_exact(written: Path) -> None:
    times = [BEGIN_NS + n * STEP_NS for n in range(5)]
    ids, boxes, objects = (messages(written, f"/masklet/{name}") for name in ("ids", "detections", "objects"))
    assert [t for t, _ in ids] == [t for t, _ in boxes] == [t for t, _ in objects] == times
    for index, ((_, image), (_, found), (_, text)) in enumerate(zip(ids, boxes, objects, strict=True)):
        want = a_result(index)
        stamp = image.header.stamp
        assert stamp.sec * 10**9 + stamp.nanosec == times[index]
        assert (image.header.frame_id, image.encoding) == ("camera", "mono16")
        picture = image.data.view("<u2").reshape(image.height, image.width)
        assert (picture == np.where(want.masks[1], 300, np.where(want.masks[0], 1, 0))).all()
        assert [d.id for d in found.detections] == ["1", "300"]
        assert [d.results[0].hypothesis.class_id for d in found.detections] == ["a red car", "a dog"]
        for row, detection in enumerate(found.detections):
            center, box = detection.bbox.center.position, want.boxes_xyxy[row]
            assert (center.x, center.y) == ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
            assert (detection.bbox.size_x, detection.bbox.size_y) == (box[2] - box[0], box[3] - box[1])
            assert detection.results[0].hypothesis.score == pytest.approx(want.scores[row])
        line = json.loads(text.data)
        masks = [coco.decode(one["segmentation"]).astype(bool) for one in line["objects"]]
        assert (np.stack(masks) == want.masks).all()


def test_viewers_get_boxes_and_labels(written: Path) -> None:
    drawn = messages(written, "/masklet/annotations")
    time_ns, first = drawn[0]
    assert (len(drawn), time_ns) == (5, BEGIN_NS)
    assert [text.text for text in first.texts] == ["1 a red car 0.50", "300 a dog 0.90"]
    assert [(point.x, point.y) for point in first.points[0].points] == [(3, 2), (12, 2), (12, 10), (3, 10)]
    assert first.points[0].type == 2, "LINE_LOOP"
    with written.open("rb") as file:
        names = {channel.topic: schema.name for schema, channel, _ in make_reader(file).iter_messages()}
    assert names["/masklet/annotations"] == "foxglove_msgs/msg/ImageAnnotations"


def test_a_killed_run_leaves_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    sink = SINK.open(path, Opening(24.0))
    noise = np.random.default_rng(0).random((1, 600, 800)) > 0.5
    for index in range(20):
        result = FrameResult(
            index, index / 24, np.array([1]), noise, np.array([[0, 0, 800, 600]], np.float32), np.ones(1, np.float32)
        )
        sink.write(Frame(index, index / 24, np.zeros((600, 800, 3), np.uint8)), result)
    read = 0
    with path.open("rb") as file, suppress(McapError):
        for _ in NonSeekingReader(file).iter_messages(["/masklet/ids"], log_time_order=False):
            read += 1
    assert read >= 15
    sink.close()


@pytest.mark.parametrize("case", ["steady", "gap", "out of order", "jitter over days"])
def test_a_bag_in_and_a_bag_out_keep_the_time(cli: Cli, nano_bundle: Path, tmp_path: Path, case: str) -> None:
    """To the nanosecond, in the log time and in the header."""
    image = np.full((48, 64, 3), 90, np.uint8)
    image[10:30, 10:30] = (200, 40, 40)
    steps = {"gap": [0, 1, 1000, 1001], "out of order": [2, 0, 3, 1], "jitter over days": [0, 1, 7_000_001, 9_999_999]}
    stored = [BEGIN_NS + n * STEP_NS + n % 7 for n in steps.get(case, range(4))]
    drive = write_mcap(tmp_path / "drive.mcap", [raw(image, "rgb8", time_ns) for time_ns in stored])
    out, masks = tmp_path / "out.mcap", tmp_path / "m.jsonl"
    words = ("--topic", "/camera/image_raw", "--box", "10,10,30,30", "--mcap", out, "--masks", masks)
    code, _, err = cli("run", nano_bundle, drive, *words)
    assert code == 0, err
    kept = messages(out, "/masklet/objects")
    assert [time_ns for time_ns, _ in kept] == sorted(stored)
    stamps = [image.header.stamp for _, image in messages(out, "/masklet/ids")]
    assert [stamp.sec * 10**9 + stamp.nanosec for stamp in stamps] == sorted(stored)
    lines = [json.loads(line) for line in masks.read_text().splitlines()]
    assert [json.loads(text.data) for _, text in kept] == lines
    assert [line["time_s"] for line in lines] == [round((t - min(stored)) / 1e9, 6) for t in sorted(stored)]


def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="there is no folder"):
        SINK.open(tmp_path / "none/out.mcap", Opening(24.0))
