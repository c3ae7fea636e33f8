"""The error of a stage's output, used by the parity check of export, by calibration and by the engine check.

It is safe against NaN: `max(0.0, nan)` is 0.0 in Python, and every comparison with NaN is false. Therefore an output
that contains NaN or infinity, or is compared with one that does, has an infinite error, which no maximum and no
tolerance hides.
"""

import math
from typing import NamedTuple

import numpy as np
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SpecError


class OutputError(NamedTuple):
    """The error of one output, or the largest over several calls.

    relative: ||got - wanted|| / ||wanted||, 2-norms in float64; ||got|| if the wanted output is all zero.
    max_abs:  largest absolute difference of a single value.
    Both are infinite if either output is not finite.
    """

    relative: float = 0.0
    max_abs: float = 0.0

    @property
    def is_finite(self) -> bool:
        """Whether all compared numbers are finite."""
        return math.isfinite(self.relative)

    def or_worse(self, other: "OutputError") -> "OutputError":
        """The larger of each figure."""
        return OutputError(max(self.relative, other.relative), max(self.max_abs, other.max_abs))


def output_error(got: Tensor, wanted: Tensor) -> OutputError:
    """Compare an output with the wanted one. Raises SpecError if their shapes differ."""
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
