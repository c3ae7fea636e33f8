"""What is logged for Rerun, read from its file again; and what is said where that cannot be."""

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.geometry import boxes_xyxy
from masklet.runtime.results import Finding, Frame, FrameResult
from masklet.runtime.sinks.kind import Opening
from masklet.runtime.sinks.kinds.rerun import SINK

HW, FRAMES = (48, 64), 4


def result(n: int) -> FrameResult:
    masks = np.zeros((3, *HW), bool)
    masks[0, 4:20, 5 + n : 30] = True
    masks[1, 10:40, 20:40] = True
    scores = np.array([0.5, 0.75 - n / 10, 0.25], np.float32)
    findings = (Finding("car", 0.9), Finding("bus", 0.9), Finding(None, None))
    return FrameResult(n, n / 10, np.array([1, 2, 70_000]), masks, boxes_xyxy(masks), scores, findings)


@pytest.fixture
def columns(tmp_path: Path) -> dict[str, Any]:
    """What a file holds, by the name of its entity and of its component."""
    chunks = pytest.importorskip("rerun.chunk", reason="rerun-sdk is not installed")
    stages = [(n, {"image_encoder": float(n)}) for n in range(1, FRAMES + 1)]
    sink = SINK.open(tmp_path / "run.rrd", Opening(10.0, stages=lambda number: stages[number : number + 1]))
    for n in range(FRAMES):
        sink.write(Frame(n, n / 10, np.full((*HW, 3), 40 * n, np.uint8)), result(n))
    sink.close()
    sink.close()
    found: dict[str, Any] = {}
    for chunk in chunks.RrdReader(tmp_path / "run.rrd").stream():
        batch = chunk.to_record_batch()
        for name, values in zip(batch.schema.names, batch.columns, strict=True):
            found[f"{chunk.entity_path} {name}"] = values.to_pylist()
    return found


def test_masks_and_series_are_those_of_the_results(columns: dict[str, Any]) -> None:
    assert columns["/frame/masks frame"] == list(range(FRAMES))
    for n, [buffer] in enumerate(columns["/frame/masks SegmentationImage:buffer"]):
        ids, wanted = np.frombuffer(bytes(buffer), np.uint16).reshape(HW), result(n)
        assert np.array_equal(ids == 1, wanted.masks[0] & ~(wanted.masks[1] & (wanted.scores[1] >= 0.5)))
        assert np.array_equal(ids == 2, wanted.masks[1] & ~(ids == 1))
    assert [score for [score] in columns["/score/2 Scalars:scalars"]] == pytest.approx([0.75, 0.65, 0.55, 0.45])
    assert [ms for [ms] in columns["/stage/image_encoder Scalars:scalars"]] == [1.0, 2.0, 3.0, 4.0]
    assert [len(ids) for ids in columns["/frame/boxes Boxes2D:class_ids"]] == [2] * FRAMES
    [[[*infos]]] = columns["/frame AnnotationContext:context"]
    labels = {info["class_description"]["info"]["label"] for info in infos if info["class_id"]}
    assert labels == {"1 car", "2 bus"}


def test_a_viewer_that_does_not_answer_is_one_line() -> None:
    pytest.importorskip("rerun", reason="rerun-sdk is not installed")
    with pytest.raises(SinkError, match=r"--rerun 127\.0\.0\.1:9: no viewer answers there"):
        SINK.open("127.0.0.1:9", Opening(10.0))
    with pytest.raises(SinkError, match="no viewer answers there"):
        SINK.open("host:port", Opening(10.0))


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="there is no folder"):
        SINK.check(tmp_path / "nowhere" / "run.rrd")
    SINK.check("host")


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "rerun":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(SinkError, match=r"pip install 'masklet\[rerun\]'"):
        SINK.open(tmp_path / "run.rrd", Opening(10.0))
