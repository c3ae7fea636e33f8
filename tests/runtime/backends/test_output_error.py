"""The error of an output: the textbook's figure where numbers are finite, infinite where any is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from masklet.runtime.backends.output_error import OutputError, output_error
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SpecError

VALUES = arrays(np.float32, (4, 3), elements=st.floats(-1e3, 1e3, width=32))


@given(got=VALUES, wanted=VALUES)
def test_it_is_the_relative_2_norm(got: Tensor, wanted: Tensor) -> None:
    difference = math.sqrt(math.fsum((float(a) - float(b)) ** 2 for a, b in zip(got.flat, wanted.flat, strict=True)))
    scale = math.sqrt(math.fsum(float(b) ** 2 for b in wanted.flat)) or 1.0
    error = output_error(got, wanted)
    assert error.relative == pytest.approx(difference / scale, rel=1e-9, abs=1e-30)
    assert error.max_abs == max(abs(float(a) - float(b)) for a, b in zip(got.flat, wanted.flat, strict=True))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", ["got", "wanted", "both"])
@given(array=VALUES, at=st.integers(0, 11), order=st.booleans())
def test_what_is_not_finite_is_infinitely_wrong_and_is_never_lost(
    value: float, where: str, array: Tensor, at: int, order: bool
) -> None:
    broken = array.copy()
    broken.flat[at] = value
    got, wanted = (broken if where in (side, "both") else array for side in ("got", "wanted"))
    error = output_error(got, wanted)
    assert error == (math.inf, math.inf)
    assert not error.is_finite
    right = output_error(array, array)
    assert right == (0, 0)
    assert (error.or_worse(right) if order else right.or_worse(error)) == error


def test_zeros_are_measured_absolutely() -> None:
    zeros = np.zeros(4, np.float32)
    assert output_error(zeros, zeros) == (0, 0)
    assert output_error(zeros + 3, zeros) == (6, 3)
    assert output_error(np.zeros((0, 4)), np.zeros((0, 4))) == OutputError()


def test_other_shapes_are_not_compared() -> None:
    with pytest.raises(SpecError, match=r"cannot compare an output \[2, 1\] with one that is \[2, 3\]"):
        output_error(np.zeros((2, 1)), np.zeros((2, 3)))
