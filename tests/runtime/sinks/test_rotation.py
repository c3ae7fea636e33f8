"""Rotation: files of a limited time or size, and none of their lines lost, also after a restart."""

import json
from pathlib import Path

import av
import pytest
from masklet.runtime.errors import SinkError
from masklet.runtime.sinks.json_lines import MasksJsonl
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.sinks.rotation import Rotated, Rotation, finished_parts
from moving_object import moving


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def frames(path: Path) -> list[int]:
    return [json.loads(line)["frame"] for line in path.read_text().splitlines()]


def test_a_new_file_begins_after_a_time(tmp_path: Path) -> None:
    path, clock = tmp_path / "m.jsonl", Clock()
    with Rotated(path, Rotation(seconds=60), lambda keep: MasksJsonl(path, keep), clock=clock) as sink:
        for index in range(7):
            clock.now = 20.0 * index
            sink.write(*moving(index))
    assert [frames(part) for part in finished_parts(path).values()] == [[0, 1, 2], [3, 4, 5]]
    assert [part.name for part in finished_parts(path).values()] == ["m.0001.jsonl", "m.0002.jsonl"]
    assert frames(path) == [6]


def test_a_new_file_begins_after_a_size_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Outputs({"masks": path}, settings={"rotate": "0.0004MB"}).open(30) as sink:
        for index in range(9):
            sink.write(*moving(index))
    with Outputs({"masks": tmp_path / "whole.jsonl"}).open(30) as sink:
        for index in range(9):
            sink.write(*moving(index))
    parts = [*finished_parts(path).values(), path]
    assert len(parts) > 2
    assert all(part.stat().st_size >= 400 for part in parts[:-1])
    assert b"".join(part.read_bytes() for part in parts) == (tmp_path / "whole.jsonl").read_bytes()


def test_only_the_newest_parts_stay_and_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    other = tmp_path / "m.mine.jsonl"
    other.write_text("mine")
    settings = {"rotate": "0.000001MB", "keep_parts": 2}
    for start in (0, 5):  # a second run numbers on
        with Outputs({"masks": path}, settings=settings).open(30) as sink:
            for index in range(start, start + 5):
                sink.write(*moving(index))
    assert list(finished_parts(path)) == [7, 8]
    assert [frames(part) for part in finished_parts(path).values()] == [[7], [8]]
    assert frames(path) == [9]
    assert other.read_text() == "mine"


def test_every_part_of_a_video_plays(tmp_path: Path) -> None:
    path = tmp_path / "o.mp4"
    clock, outputs = Clock(), Outputs({"overlay": path})
    with Rotated(path, Rotation(seconds=3), lambda keep: outputs.open(30), clock=clock) as sink:
        for index in range(8):
            clock.now = float(index)
            sink.write(*moving(index))
    counts = []
    for part in [*finished_parts(path).values(), path]:
        with av.open(str(part)) as container:
            counts.append(sum(1 for _ in container.decode(video=0)))
    assert counts == [3, 3, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rotate": "often"}, "expected a time such as 30m, 1h or 7d, or a size such as 500MB or 2GB"),
        ({"rotate": "0h"}, "--rotate 0h: expected a time"),
        ({"rotate": "1h", "keep_parts": 0}, "--keep-parts 0: expected a whole number from 1"),
        ({"keep_parts": 3}, "--keep-parts needs --rotate"),
    ],
)
def test_settings_that_cannot_be_used(tmp_path: Path, settings: dict[str, object], message: str) -> None:
    path = tmp_path / "m.jsonl"
    with pytest.raises(SinkError, match=message):
        Outputs({"masks": path}, settings=settings).check_folders()
    assert not path.exists()


def test_standard_output_is_not_rotated() -> None:
    with pytest.raises(SinkError, match="standard output cannot be rotated"):
        Outputs({"masks": Path("-")}, settings={"rotate": "1h"}).check_folders()
