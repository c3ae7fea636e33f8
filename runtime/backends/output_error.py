"""How far an output of a stage is from the wanted one. Export's parity, calibration and the engine check measure by it.

NaN is the danger: `max(0.0, nan)` is 0.0 in Python, and every comparison with NaN is false. So an output that holds NaN
or infinity, or is compared with one that does, has an infinite error, which no maximum and no tolerance loses.
"""

import math
from typing import NamedTuple

import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SpecError


class OutputError(NamedTuple):
    """The error of one output, or the worst of several calls.

    relative: ||got - wanted|| / ||wanted||, 2-norms in float64; ||got|| where the wanted output is zero throughout.
    max_abs:  the largest single difference.
    Both are infinite where either output is not finite.
    """

    relative: float = 0.0
    max_abs: float = 0.0

    @property
    def is_finite(self) -> bool:
        """Whether all numbers that were compared are finite."""
        return math.isfinite(self.relative)

    def or_worse(self, other: "OutputError") -> "OutputError":
        """The larger of each figure."""
        return OutputError(max(self.relative, other.relative), max(self.max_abs, other.max_abs))


def output_error(got: Tensor, wanted: Tensor) -> OutputError:
    """Compare an output with the wanted one. Raises SpecError where their shapes differ."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    if got.shape != wanted.shape:
        raise SpecError(f"cannot compare an output {list(got.shape)} with one that is {list(wanted.shape)}")
    if not wanted.size:
        return OutputError()
    exact = wanted.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):  # infinity less infinity
        difference = got.astype(np.float64).ravel() - exact
    distance, scale = float(np.linalg.norm(difference)), float(np.linalg.norm(exact))
    if not math.isfinite(distance):
        return OutputError(math.inf, math.inf)
    return OutputError(distance / (scale or 1.0), float(np.abs(difference).max()))
