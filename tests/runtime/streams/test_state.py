"""A state goes on exactly, survives damage, and is refused to whom it does not belong."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import StateError
from masklet.runtime.prompts.prompts import Box, Points, Prompt
from masklet.runtime.results import Frame
from masklet.runtime.streams.state import MAGIC, StreamState, load_state, save_state
from masklet.runtime.tracking.frame_slots import FrameSlots
from masklet.runtime.tracking.snapshot import TrackerSnapshot
from masklet.runtime.tracking.video_tracker import VideoTracker

PROMPTS: dict[int, dict[int, Prompt]] = {
    0: {1: Points.click(40, 45)},
    6: {2: Box(70, 60, 110, 100)},
    9: {1: Points.click(50, 50)},
}


def nothing(detail: str) -> None:
    raise AssertionError(detail)


def state(tracker: TrackerSnapshot | None = None) -> StreamState:
    return StreamState("bundle", "clip.mp4", 7, 0.7, [(0, 1), (6, 2)], tracker or TrackerSnapshot(7, "sam2", []))


def scene(count: int) -> Iterator[Frame]:
    for t in range(count):
        image = np.full((128, 128, 3), 90, np.uint8)
        cv2.circle(image, (40 + 2 * t, 45 + t), 16, (230, 40, 60), -1)
        cv2.circle(image, (90 - t, 80), 20, (30, 200, 220), -1)
        yield Frame(t, t / 30, image)


def through_disk(snapshot: TrackerSnapshot, folder: Path) -> TrackerSnapshot:
    save_state(folder / "s", state(snapshot))
    loaded = load_state(folder / "s", "bundle", "clip.mp4", "sam2", nothing)
    assert loaded is not None
    return loaded.tracker


def test_a_restored_tracker_gives_the_very_masks_of_one_that_went_on(nano_bundle: Path, tmp_path: Path) -> None:
    sessions = Sessions.open(Bundle.load(nano_bundle), OnnxRuntime(threads=1))
    whole, broken = VideoTracker(sessions), VideoTracker(sessions)
    for frame in scene(22):
        if frame.index in (1, 7, 8, 19):  # with one memory, with an object that has just joined, with full windows
            snapshot = through_disk(broken.snapshot(), tmp_path)
            broken = VideoTracker(sessions)
            broken.restore(snapshot)
        prompts = PROMPTS.get(frame.index)
        want, got = whole.step(frame, prompts), broken.step(frame, prompts)
        assert got.object_ids.tolist() == want.object_ids.tolist()
        assert (got.masks == want.masks).all()
        assert (got.scores == want.scores).all()
    with pytest.raises(StateError, match="before the first frame"):
        whole.restore(snapshot)


WINDOW = 4


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.booleans()), min_size=1, max_size=20), st.data())
def test_slots_go_on_as_they_would_have(puts: list[tuple[int, bool]], data: st.DataObject) -> None:
    def slots() -> FrameSlots:
        return FrameSlots(WINDOW + 2, (3,), "float32")

    whole, broken = slots(), slots()
    time, pinned = 0, [0]
    break_at = data.draw(st.integers(0, len(puts) - 1))
    for n, (step, prompted) in enumerate(puts):
        if n == break_at:
            snapshot = broken.snapshot()
            broken = slots()
            broken.restore(snapshot)
        time += step
        value: Tensor = np.full(3, time, np.float32)
        for each in (whole, broken):
            each.begin(time, {*range(time - WINDOW, time), *pinned})
            each.put(time, value)
        pinned = [*pinned, *([time] if prompted else [])][-2:]
    wanted = {t: t for t in (*range(time + 1 - WINDOW, time + 1), *pinned)}
    for each in (whole, broken):
        each.begin(time + 1, wanted)
    (want, kept), (got, same) = (each.attended(wanted) for each in (whole, broken))
    assert (want == got).all()
    assert (want[:, 0] == kept).all()
    assert kept == same


def test_slots_of_another_shape_are_refused() -> None:
    slots = FrameSlots(6, (3,), "float32")
    slots.begin(0, ())
    slots.put(0, np.zeros(3, np.float32))
    with pytest.raises(StateError, match="another model's"):
        FrameSlots(6, (5,), "float32").restore(slots.snapshot())


def test_a_state_comes_back_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert load_state(path, "bundle", "clip.mp4", "sam2", nothing) is None
    save_state(path, state())
    loaded = load_state(path, "bundle", "clip.mp4", "sam2", nothing)
    assert loaded is not None
    assert (loaded.frame_index, loaded.time_s, loaded.given) == (7, 0.7, [(0, 1), (6, 2)])
    assert [p.name for p in tmp_path.iterdir()] == ["s"], "no temporary file is left"


@pytest.mark.parametrize(
    ("bundle", "source", "memory", "said"),
    [
        ("other", "clip.mp4", "sam2", "saved with another bundle"),
        ("bundle", "other.mp4", "sam2", "saved for clip.mp4, not other.mp4"),
        ("bundle", "clip.mp4", "sam3", "saved with --memory sam2, not sam3; give that policy"),
    ],
)
def test_the_state_of_another_is_refused_and_kept(
    tmp_path: Path, bundle: str, source: str, memory: str, said: str
) -> None:
    path = tmp_path / "s"
    save_state(path, state())
    before = path.read_bytes()
    with pytest.raises(StateError, match=said):
        load_state(path, bundle, source, memory, nothing)
    assert path.read_bytes() == before


def test_a_state_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"masklet state 9\n...")
    with pytest.raises(StateError, match="another version"):
        load_state(tmp_path / "s", "bundle", "clip.mp4", "sam2", nothing)


@pytest.mark.parametrize("damage", ["empty", "cut off", "flipped", "not one", "wrong inside"])
def test_a_damaged_state_is_kept_aside(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s"
    save_state(path, state())
    raw = path.read_bytes()
    flipped = bytearray(raw)
    flipped[-3] ^= 1
    body = b"\x93\x01\x02\x03"
    content = {
        "empty": b"",
        "cut off": raw[:-10],
        "flipped": bytes(flipped),
        "not one": b"something else entirely",
        "wrong inside": MAGIC + hashlib.sha256(body).digest() + body,
    }[damage]
    for number in (1, 2):
        path.write_bytes(content)
        told: list[str] = []
        assert load_state(path, "bundle", "clip.mp4", "sam2", told.append) is None
        aside = tmp_path / f"s.damaged-{number}"
        assert told == [f"{path}: the state is damaged; renamed to {aside}; the run starts from the beginning"]
        assert aside.read_bytes() == content
        assert not path.exists()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="create the folder"):
        load_state(tmp_path / "no" / "s", "bundle", "clip.mp4", "sam2", nothing)


def test_a_write_that_fails_leaves_the_state_before(tmp_path: Path) -> None:
    path = tmp_path / "s"
    save_state(path, state())
    (tmp_path / ".s.tmp").mkdir()
    with pytest.raises(StateError, match="cannot be written"):
        save_state(path, state(TrackerSnapshot(99, "sam2", [])))
    loaded = load_state(path, "bundle", "clip.mp4", "sam2", nothing)
    assert loaded is not None
    assert loaded.tracker.time == 7
