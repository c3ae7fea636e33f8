"""A Kalman filter for a box: its centre, aspect ratio and height, and their speeds (as in DeepSORT and SAMURAI).

Motion and observation noise are proportional to the height and independent for the four quantities. So the filter of
eight dimensions (samurai: sam2/utils/kalman_filter.py) separates into four filters of a position and a speed. Those of
x and y have the same uncertainty, which a rotation of the camera therefore does not change.
"""

from dataclasses import dataclass, replace

from masklet.runtime.tracking.camera_motion import CameraMove

POSITION, SPEED = 1 / 20, 1 / 160  # standard deviations, as shares of the height
ASPECT, ASPECT_SPEED, ASPECT_SEEN = 1e-2, 1e-5, 1e-1  # of the aspect ratio

Corners = tuple[float, float, float, float]
NOWHERE: Corners = (0.0, 0.0, 0.0, 0.0)
"""The corners of an empty mask; its overlap with any box is 0."""


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """Variance of a position, of its speed, and their covariance."""

    position: float
    speed: float
    both: float

    def predicted(self, position: float, speed: float) -> "Uncertainty":
        """The uncertainty one frame later. position, speed: standard deviations of the motion."""
        return Uncertainty(
            self.position + 2 * self.both + self.speed + position**2, self.speed + speed**2, self.both + self.speed
        )

    def updated(self, seen: float) -> tuple["Uncertainty", float, float]:
        """The uncertainty after an observation with standard deviation `seen`; and the gains of position and speed."""
        total = self.position + seen**2
        gain, speed_gain = self.position / total, self.both / total
        after = Uncertainty(
            self.position - gain * self.position, self.speed - speed_gain * self.both, self.both - gain * self.both
        )
        return after, gain, speed_gain

    def scaled(self, factor: float) -> "Uncertainty":
        return Uncertainty(*(value * factor**2 for value in (self.position, self.speed, self.both)))


@dataclass(frozen=True, slots=True)
class BoxMotion:
    """Position and speed of a box.

    mean:   x and y of the centre, aspect ratio (width / height), height.
    speed:  speed of each, per frame.
    place:  uncertainty of x, and of y.
    aspect, height: uncertainties of the aspect ratio and of the height.
    """

    mean: Corners
    speed: Corners
    place: Uncertainty
    aspect: Uncertainty
    height: Uncertainty

    @classmethod
    def start(cls, corners: Corners) -> "BoxMotion":
        """A box seen for the first time, at rest."""
        mean = _centred(corners)
        place = Uncertainty((2 * POSITION * mean[3]) ** 2, (10 * SPEED * mean[3]) ** 2, 0.0)
        return cls(mean, NOWHERE, place, Uncertainty(ASPECT**2, ASPECT_SPEED**2, 0.0), place)

    def predicted(self) -> "BoxMotion":
        """The box one frame later."""
        position, speed = POSITION * self.mean[3], SPEED * self.mean[3]
        x, y, aspect, height = (at + by for at, by in zip(self.mean, self.speed, strict=True))
        return BoxMotion(
            (x, y, aspect, height),
            self.speed,
            self.place.predicted(position, speed),
            self.aspect.predicted(ASPECT, ASPECT_SPEED),
            self.height.predicted(position, speed),
        )

    def updated(self, corners: Corners) -> "BoxMotion":
        """The box after an observation."""
        seen = POSITION * self.mean[3]
        place, *place_gains = self.place.updated(seen)
        aspect, *aspect_gains = self.aspect.updated(ASPECT_SEEN)
        height, *height_gains = self.height.updated(seen)
        gains = (place_gains, place_gains, aspect_gains, height_gains)
        off = [there - here for there, here in zip(_centred(corners), self.mean, strict=True)]
        x, y, a, h = (at + gain[0] * by for at, gain, by in zip(self.mean, gains, off, strict=True))
        vx, vy, va, vh = (at + gain[1] * by for at, gain, by in zip(self.speed, gains, off, strict=True))
        return BoxMotion((x, y, a, h), (vx, vy, va, vh), place, aspect, height)

    def moved(self, camera: CameraMove) -> "BoxMotion":
        """The same box and speed after a move of the camera."""
        x, y, aspect, height = self.mean
        vx, vy, aspect_speed, height_speed = self.speed
        return replace(
            self,
            mean=(*camera.point(x, y), aspect, height * camera.scale),
            speed=(*camera.direction(vx, vy), aspect_speed, height_speed * camera.scale),
            place=self.place.scaled(camera.scale),
            height=self.height.scaled(camera.scale),
        )

    @property
    def corners(self) -> Corners:
        """Left, top, right, bottom."""
        x, y, aspect, height = self.mean
        return x - aspect * height / 2, y - height / 2, x + aspect * height / 2, y + height / 2


def overlap(one: Corners, other: Corners) -> float:
    """IoU of two boxes."""
    if other == NOWHERE:
        return 0.0
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    either = _area(one) + _area(other) - both
    return both / either if either else 0.0


def _area(corners: Corners) -> float:
    return (corners[2] - corners[0]) * (corners[3] - corners[1])


def _centred(corners: Corners) -> Corners:
    left, top, right, bottom = corners
    height = bottom - top or 1.0
    return (left + right) / 2, (top + bottom) / 2, (right - left) / height, height
