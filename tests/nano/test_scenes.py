"""Scenes: the same bytes from the same seed, masks that are exact, and things that leave and come back."""

from pathlib import Path

import cv2
import numpy as np
import pool
import pytest
from drawing import Stage, Thing
from motion import Camera
from motion import Path as Route
from paint import PATCH
from PIL import Image
from scenes import FIRST_AREA, HELD_OUT_SEED, KINDS, Clip, held_out, main, render

SIZE, STILL = 128, np.zeros(2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_bytes(kind: str) -> None:
    one, same, other = (render(kind, seed, frames=4) for seed in (3, 3, 4))
    assert one.frames.tobytes() == same.frames.tobytes()
    assert one.labels.tobytes() == same.labels.tobytes()
    assert one.frames.tobytes() != other.frames.tobytes()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("objects", [1, 4])
def test_every_object_can_be_clicked_in_the_first_frame(kind: str, objects: int) -> None:
    clip = render(kind, 5, frames=2, objects=objects)
    assert clip.frames.shape == (2, SIZE, SIZE, 3)
    assert clip.labels.max() <= objects
    for label in clip.ids:
        assert (clip.labels[0] == label).mean() >= FIRST_AREA


def square(x: float, y: float, half: float, label: int, hidden: tuple[tuple[int, int], ...] = ()) -> Thing:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], float)
    route = Route(np.array([x, y]), STILL, STILL, STILL, 0.0, 0.0, half, 0.0, 1.0, absences=hidden)
    return Thing((corners,), np.full((PATCH, PATCH, 3), 40 * label, np.uint8), route, label)


def stage(*things: Thing) -> Stage:
    background = np.full((SIZE, SIZE, 3), 255, np.uint8)
    return Stage(background, things, Camera(STILL, STILL, STILL, 0.0), SIZE, 0)


def test_masks_are_the_visible_pixels() -> None:
    picture, labels = stage(square(40, 50, 20, 1), square(60, 50, 10, 2), square(60, 60, 4, 0)).draw(0)
    expected = np.zeros((SIZE, SIZE), np.uint8)
    expected[30:71, 20:61] = 1
    expected[40:61, 50:71] = 2
    expected[56:65, 56:65] = 0
    assert np.array_equal(labels, expected)
    untouched = cv2.dilate((labels > 0).astype(np.uint8), np.ones((11, 11))) == 0
    assert (picture[untouched] == 255).all()
    for label in (1, 2):
        inside = cv2.erode((labels == label).astype(np.uint8), np.ones((3, 3))) > 0  # edges are blended
        assert (abs(picture[inside].astype(int) - 40 * label) <= 1).all()


def test_a_vanished_thing_has_no_mask() -> None:
    scene = stage(square(40, 50, 20, 1, hidden=((2, 4),)))
    assert [bool(scene.labels(frame).any()) for frame in range(5)] == [True, True, False, False, True]


def test_objects_go_missing_and_come_back() -> None:
    returns = 0
    for seed in range(12):
        clip = render("cluttered", seed)
        for label in clip.ids:
            shows = (clip.labels == label).any(axis=(1, 2))
            gone = np.flatnonzero(~shows)
            returns += bool(len(gone) and shows[gone[0] :].any())
    assert returns >= 3


def test_training_never_draws_a_held_out_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []

    def note(kind: str, seed: int, size: int, frames: int, objects: int) -> Clip:
        drawn.append(seed)
        return render("plain", 1, size, frames, 1)

    monkeypatch.setattr(pool, "render", note)
    pool.Pool(pool.PoolPlan(50, 2, 64, (("plain", 1.0),), 1), seed=0).advance(0)
    assert max(drawn) < HELD_OUT_SEED
    assert [clip.seed for clip in held_out("plain", 3, frames=1)] == [HELD_OUT_SEED + n for n in range(3)]


def test_the_command_writes_video_frames_and_palette_masks(tmp_path: Path) -> None:
    assert main(["rich", "--seed", "7", "--frames", "3", "--objects", "3", "-o", str(tmp_path)]) == 0
    clip = render("rich", 7, frames=3, objects=3)
    video = cv2.VideoCapture(str(tmp_path / "video.mp4"))
    assert int(video.get(cv2.CAP_PROP_FRAME_COUNT)) == 3
    for index in range(3):
        mask = Image.open(tmp_path / "masks" / f"{index:05d}.png")
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask), clip.labels[index])
        frame = np.array(Image.open(tmp_path / "frames" / f"{index:05d}.png"))
        assert np.array_equal(frame, clip.frames[index])
    palette = Image.open(tmp_path / "masks" / "00000.png").getpalette()
    assert palette is not None
    assert palette[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]  # DAVIS: black, dark red, dark green


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["clutterd"], "clutterd"),
        (["plain", "--size", "16"], "size 16"),
        (["plain", "--objects", "9"], "objects 9"),
        (["plain", "--objects", "0"], "objects 0"),
        (["plain", "--frames", "0"], "frames 0"),
        (["plain", "--seed", "-1"], "seed -1"),
    ],
)
def test_bad_input_is_one_clear_line(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "-o", str(tmp_path / "clip")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert named in error
    assert not (tmp_path / "clip").exists()
