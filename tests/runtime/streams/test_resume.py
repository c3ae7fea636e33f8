"""Where a stream goes on after a restart, in its source and in its outputs."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_feeds import FakeCamera, ListSource, frames, picture
from masklet.runtime.sinks.json_lines import MasksJsonl, WrittenMasks, written_masks
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sources.source import Cut, Source
from masklet.runtime.streams.resume import cut_after, go_on_with
from masklet.runtime.streams.state import StreamState
from masklet.runtime.tracking.snapshot import TrackerSnapshot


def state(frame: int) -> StreamState:
    return StreamState("bundle", "clip", frame, frame / 10, [], TrackerSnapshot(frame, "sam2", []))


def masks(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"frame": n, "time_s": n / 10, "objects": []}) + "\n" for n in range(count)))
    return path


def source(**cut: Any) -> Source:
    found = ListSource("clip", frames(20))
    found.cut = Cut(**cut)
    return found


@pytest.mark.parametrize(
    ("cut", "last", "left"),
    [
        ({}, 7, range(8, 20)),
        ({"start": 2, "stride": 5}, 7, range(12, 20, 5)),
        ({"end": 12}, 7, range(8, 12)),
        ({"reverse": True}, 7, range(6, -1, -1)),
        ({"reverse": True, "start": 1, "stride": 3}, 7, range(4, 0, -3)),
    ],
)
def test_a_file_goes_on_with_what_is_left(cut: dict[str, Any], last: int, left: range) -> None:
    rest = cut_after(state(last), source(**cut), cut)
    assert rest is not None
    assert list(Cut(**rest).indices(20)) == list(left)


def test_of_a_file_that_was_run_to_its_end_nothing_is_left() -> None:
    assert cut_after(state(19), source(), {}) is None


def test_lines_of_a_file_that_come_again_are_dropped(tmp_path: Path) -> None:
    path = masks(tmp_path / "m.jsonl", 9)
    outputs, there = go_on_with(Outputs({"masks": path}), state(5), finite=True)
    assert there.frame == 5
    MasksJsonl(path, outputs.keep).close()
    assert path.read_text() == masks(tmp_path / "want", 6).read_text()


def test_lines_of_a_camera_stay_without_a_torn_one(tmp_path: Path) -> None:
    path = masks(tmp_path / "m.jsonl", 9)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"frame": 9, "time')
    outputs, there = go_on_with(Outputs({"masks": path}), state(5), finite=False)
    assert there == WrittenMasks(len(whole), 8, 0.8)
    MasksJsonl(path, outputs.keep).close()
    assert path.read_bytes() == whole


def test_rotated_lines_that_come_again_are_dropped_from_every_file(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    rows = masks(path, 9).read_text().splitlines(keepends=True)
    for name, first in (("m.0001.jsonl", 0), ("m.0002.jsonl", 3), ("m.jsonl", 6)):
        (tmp_path / name).write_text("".join(rows[first : first + 3]))
    outputs, there = go_on_with(Outputs({"masks": path}), state(4), finite=True)
    assert there.frame == 4
    MasksJsonl(path, outputs.keep).close()
    assert path.read_text() == "".join(rows[3:5])
    assert {one.name for one in tmp_path.iterdir()} == {"m.0001.jsonl", "m.jsonl"}


def test_a_camera_is_numbered_after_the_last_rotated_file(tmp_path: Path) -> None:
    masks(tmp_path / "m.0001.jsonl", 9)
    path = masks(tmp_path / "m.jsonl", 0)
    outputs, there = go_on_with(Outputs({"masks": path}), state(5), finite=False)
    assert (there.frame, there.time_s, outputs.keep) == (8, 0.8, 0)


def test_a_file_that_holds_no_masks_has_none_written(tmp_path: Path) -> None:
    (tmp_path / "m").write_text("something else\n")
    assert written_masks(tmp_path / "m", None) == WrittenMasks()


def test_a_video_begins_a_new_part(tmp_path: Path) -> None:
    overlay = tmp_path / "o.mp4"
    assert go_on_with(Outputs({"overlay": overlay}), state(5), finite=True)[0]["overlay"] == overlay
    overlay.touch()
    assert go_on_with(Outputs({"overlay": overlay}), state(5), finite=True)[0]["overlay"] == tmp_path / "o.from-6.mp4"


def test_a_camera_is_numbered_on() -> None:
    feed = FakeCamera([picture(), picture()]).open()
    feed.go_on(9, 0.8)
    assert [frame.index for frame in feed] == [9, 10]
