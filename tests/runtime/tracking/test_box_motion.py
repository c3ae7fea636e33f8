"""The motion of a box against what follows from the same model with all frames taken at once."""

import numpy as np
import pytest
from masklet.runtime.tracking.box_motion import NOWHERE, BoxMotion, Corners, overlap
from masklet.runtime.tracking.camera_motion import CameraMove
from scipy.linalg import block_diag, cho_factor, cho_solve

MOTION = np.block([[np.eye(4), np.eye(4)], [np.zeros((4, 4)), np.eye(4)]])
SEEN = np.eye(4, 8)


def deviations(height: float, position: float, aspect: float) -> np.ndarray:
    return np.array([position * height, position * height, aspect, position * height])


def measured(corners: Corners) -> np.ndarray:
    left, top, right, bottom = corners
    return np.array([(left + right) / 2, (top + bottom) / 2, (right - left) / (bottom - top), bottom - top])


class Joint:
    """Every state so far as one Gaussian, conditioned on every observation so far: no filter, no recursion."""

    def __init__(self, corners: Corners) -> None:
        box = measured(corners)
        first = [deviations(box[3], 2 / 20, 1e-2), deviations(box[3], 10 / 160, 1e-5)]
        self.start = np.concatenate([box, np.zeros(4)])
        self.prior = np.diag(np.concatenate(first) ** 2)
        self.noise: list[np.ndarray] = []  # of the motion to each later state
        self.seen: dict[int, tuple[np.ndarray, np.ndarray]] = {}  # state: box, deviations

    def step(self, height: float) -> None:
        step = [deviations(height, 1 / 20, 1e-2), deviations(height, 1 / 160, 1e-5)]
        self.noise.append(np.concatenate(step) ** 2)

    def see(self, corners: Corners, height: float) -> None:
        self.seen[len(self.noise)] = measured(corners), deviations(height, 1 / 20, 1e-1)

    def mean(self) -> np.ndarray:
        """The last state, given everything."""
        count = len(self.noise) + 1
        # every state is a sum of the first and of the noises so far, each moved on
        powers = [np.linalg.matrix_power(MOTION, steps) for steps in range(count)]
        rows = [[powers[row - at] if row >= at else 0 * MOTION for at in range(count)] for row in range(count)]
        moved = np.block(rows)
        spread = moved @ block_diag(self.prior, *map(np.diag, self.noise)) @ moved.T
        expected = moved[:, :8] @ self.start
        if not self.seen:
            return np.asarray(expected[-8:])
        looks = np.concatenate([np.kron(np.eye(count)[state], SEEN) for state in self.seen])
        boxes = np.concatenate([box for box, _ in self.seen.values()])
        noise = np.diag(np.concatenate([deviation for _, deviation in self.seen.values()]) ** 2)
        factor = cho_factor(looks @ spread @ looks.T + noise)
        posterior: np.ndarray = expected + spread @ looks.T @ cho_solve(factor, boxes - looks @ expected)
        return posterior[-8:]


def random_box(rng: np.random.Generator, time: int) -> Corners:
    x, y = 100 + 3.0 * time + rng.normal() * 2, 120 - 1.5 * time + rng.normal() * 2
    width, height = 40 + rng.normal() * 2, 60 + 0.5 * time + rng.normal() * 2
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


@pytest.mark.parametrize("seed", range(5))
def test_the_filter_is_the_whole_past_at_once(seed: int) -> None:
    """Means, speeds and the uncertainty that the gains come from, with frames on which nothing is seen."""
    rng = np.random.default_rng(seed)
    motion, joint = BoxMotion.start(random_box(rng, 0)), Joint(random_box(np.random.default_rng(seed), 0))
    for time in range(1, 25):
        joint.step(motion.mean[3])
        motion = motion.predicted()
        np.testing.assert_allclose([*motion.mean, *motion.speed], joint.mean(), rtol=1e-7, atol=1e-7)
        if rng.random() < 0.7:
            box = random_box(rng, time)
            joint.see(box, motion.mean[3])
            motion = motion.updated(box)
            np.testing.assert_allclose([*motion.mean, *motion.speed], joint.mean(), rtol=1e-7, atol=1e-7)


def test_a_turn_of_the_camera_turns_the_filter() -> None:
    """Turned boxes' centres, seen after a turn, are where the turned filter without one has them."""
    rng = np.random.default_rng(3)
    turn = CameraMove(np.cos(0.3), -np.sin(0.3), 12.0, np.sin(0.3), np.cos(0.3), -7.0)
    still = turned = BoxMotion.start((10, 20, 30, 60))
    for _ in range(8):
        x, y = rng.uniform(0, 50, 2)
        box = (float(x), float(y), float(x + 20), float(y + 40))
        still, turned = still.predicted().updated(box), turned.predicted().updated(box)
    turned = turned.moved(turn)
    (x, y, *size), (vx, vy, *growth) = still.mean, still.speed
    np.testing.assert_allclose(turned.mean, [*turn.point(x, y), *size])
    np.testing.assert_allclose(turned.speed, [*turn.direction(vx, vy), *growth])
    assert turned.place == pytest.approx(still.place)


@pytest.mark.parametrize(
    ("one", "other", "iou"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0),
        ((-5, -5, 5, 5), NOWHERE, 0),
        ((1, 1, 1, 1), (1, 1, 1, 1), 0),
    ],
)
def test_overlap(one: Corners, other: Corners, iou: float) -> None:
    assert overlap(one, other) == pytest.approx(iou)
