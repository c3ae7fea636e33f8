"""Sweeps: what is asked for, and the lines through what was found."""

import pytest
from masklet.profiles.machine.cpu_peaks import Machine, measure, peak_gbytes, peak_gflops
from masklet.profiles.model.growth import Point, Sweep, check_sweep, fit, parse_sweep, point
from masklet.runtime.errors import MaskletError
from recorded import model, times


def test_sizes_are_read_in_one_text_or_several() -> None:
    wanted = Sweep((1, 2, 8), (1, 7))
    assert parse_sweep(["objects=8,1,2 memory=1,7"]) == wanted
    assert parse_sweep(["objects=1,2,8", "memory=7,1,7"]) == wanted
    assert parse_sweep(["memory=3"]) == Sweep((), (3,))


@pytest.mark.parametrize(
    "text", ["objects", "objects=", "objects=1,", "objects=0", "objects=-1", "size=3", "memory=1.5"]
)
def test_sizes_that_cannot_be_read(text: str) -> None:
    with pytest.raises(MaskletError, match="expected objects=1,2,4 or memory=1,3,7"):
        parse_sweep([text])


def test_an_axis_comes_once() -> None:
    with pytest.raises(MaskletError, match="objects is given twice"):
        parse_sweep(["objects=1", "objects=2"])


def test_a_sweep_is_completed_and_must_be_within_reach() -> None:
    assert check_sweep(Sweep((1, 2)), model(), None) == Sweep((1, 2), (7,))
    assert check_sweep(Sweep((), (3,)), model(), 4) == Sweep((1,), (3,))
    with pytest.raises(MaskletError, match="the model attends to 7 at most"):
        check_sweep(Sweep((), (8,)), model(), None)
    with pytest.raises(MaskletError, match="needs 8 frames, the source gives 7"):
        check_sweep(Sweep((1,)), model(), 7)


def test_a_point_is_the_median_of_its_frames() -> None:
    found = point(2, 7, [times(0), times(1, (50, 30, 5, 4)), times(2, (60, 30, 5, 4))])
    assert (found.frames, found.frame_ms, found.host_ms) == (3, 50 + 39 + 15, 15.0)
    assert found.stages_ms == {
        "image_encoder": 50.0,
        "memory_attention": 30.0,
        "mask_decoder": 5.0,
        "memory_encoder": 4.0,
    }


def test_the_spread_of_a_point_is_its_interquartile_range() -> None:
    frames = [times(n, (10 * n, 30, 5, 4)) for n in range(1, 6)]
    assert point(2, 7, frames).spread_ms == pytest.approx(20)


def test_straight_lines_are_found() -> None:
    """100 ms, 20 an object, 3 a memory frame and object."""
    points = [Point(n, m, 3, 100 + 20 * n + 3 * n * m, 1.0, {}) for n in (1, 2, 4) for m in (1, 3, 7)]
    found = fit(points)
    assert found.per_object_ms == pytest.approx(20 + 3 * 7)
    assert found.fixed_ms == pytest.approx(100)
    assert found.per_memory_ms == pytest.approx(3 * 4)


def test_one_point_has_no_line() -> None:
    found = fit([Point(1, 7, 3, 100.0, 1.0, {})])
    assert (found.fixed_ms, found.per_object_ms, found.per_memory_ms) == (None, None, None)


def test_the_machine_is_measured_in_a_process_of_its_own() -> None:
    found = measure(threads=1)
    assert found.threads == 1
    assert 0.1 < found.gflops < 10_000
    assert 0.1 < found.gbytes < 2_000
    assert Machine(peak_gflops(64, 2), peak_gbytes(2, 1 << 16, 2), 2).gbytes > 0
