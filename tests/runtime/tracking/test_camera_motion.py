"""The camera's motion from pictures that were moved by a known amount, with something that moves by itself in them."""

import cv2
import numpy as np
import pytest
from masklet.runtime.tracking.box_motion import BoxMotion, overlap
from masklet.runtime.tracking.camera_motion import CameraMotion, CameraMove
from numpy.typing import NDArray

HEIGHT, WIDTH = 240, 400


def world(seed: int = 0) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(0, 255, (30, 50, 3)).astype(np.float32), (WIDTH, HEIGHT))
    return np.asarray(np.clip(coarse, 0, 255), np.uint8)


def seen(matrix: NDArray[np.float64], disc: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The world as a camera sees it that moved by a matrix [2, 3], in pixels; with a disc that moves by itself."""
    picture = cv2.warpAffine(world(), matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
    if disc is not None:
        cv2.circle(picture, disc, 40, (255, 0, 0), -1)
    return np.asarray(picture, np.uint8)


def similarity(angle: float, scale: float, right: float, down: float) -> NDArray[np.float64]:
    matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), angle, scale)
    matrix[:, 2] += np.array([right, down])
    return np.asarray(matrix, np.float64)


@pytest.mark.parametrize(
    ("angle", "scale", "right", "down"), [(0, 1, 6, -3), (3, 1, 0, 0), (0, 1.04, 0, 0), (-2, 0.98, 5, 4)]
)
def test_it_is_where_points_went(angle: float, scale: float, right: float, down: float) -> None:
    matrix = similarity(angle, scale, right, down)
    camera = CameraMotion()
    assert camera.update(seen(similarity(0, 1, 0, 0), (100, 80))) is None, "there is nothing before the first frame"
    move = camera.update(seen(matrix, (120, 90)))
    assert move is not None
    for x, y in ((20.0, 30.0), (380.0, 40.0), (200.0, 200.0)):
        there = matrix @ (x, y, 1)
        got = move.point((x + 0.5) / WIDTH, (y + 0.5) / HEIGHT)
        np.testing.assert_allclose(np.array(got) * (WIDTH, HEIGHT) - 0.5, there, atol=1.0)
    assert move.scale == pytest.approx(scale, abs=0.01)


def test_where_it_cannot_be_made_out_nothing_is_said() -> None:
    camera, flat = CameraMotion(), np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    assert [camera.update(image) for image in (flat, flat, world(1))] == [None, None, None]
    assert camera.update(np.zeros((100, 100, 3), np.uint8)) is None, "another size"


def test_it_goes_on_from_what_it_knew() -> None:
    first, then = seen(similarity(0, 1, 0, 0)), seen(similarity(1, 1, 4, 2))
    whole = CameraMotion()
    whole.update(first)
    assert CameraMotion(whole.before).update(then) == whole.update(then)


def test_a_box_is_expected_where_the_camera_puts_it() -> None:
    """A thing at rest, and a camera that begins to pan by a third of its width a frame."""
    camera, box = CameraMotion(), (100.0, 100.0, 130.0, 130.0)
    plain = moved = BoxMotion.start(box)
    for step in range(6):
        move = camera.update(seen(similarity(0, 1, 10 * step * WIDTH / 256, 0)))
        here = (box[0] + 10 * step, box[1], box[2] + 10 * step, box[3])
        plain = plain.predicted()
        moved = (moved if move is None else moved.moved(move.within(256, 256))).predicted()
        if step == 1:
            assert overlap(moved.corners, here) > 0.8 > overlap(plain.corners, here) + 0.2
        plain, moved = plain.updated(here), moved.updated(here)


def test_shares_of_a_picture_that_is_no_square_become_pixels() -> None:
    move = CameraMove(xx=0.9, xy=0.2, right=0.1, yx=-0.3, yy=1.1, down=0.05)
    (x, y), (px, py) = move.point(0.4, 0.6), move.within(30, 50).point(0.4 * 50, 0.6 * 30)
    assert (px, py) == pytest.approx((50 * x, 30 * y))
