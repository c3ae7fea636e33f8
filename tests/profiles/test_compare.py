"""Verdicts on samples whose truth is known."""

import msgspec
import numpy as np
import pytest
from masklet.profiles.report.compare import change, compare, differences
from recorded import report, times


def sample(seed: int, scale: float = 1.0, frames: int = 200) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Latencies around 100 ms with 3 % noise and a heavy tail."""
    rng = np.random.default_rng(seed)
    return scale * (100 + rng.normal(0, 3, frames) + rng.exponential(2, frames))


def test_ten_percent_stand_out() -> None:
    found = change("frame", sample(1), sample(2, 1.1))
    assert found.stands_out
    assert 0.07 < found.low < 0.1 < found.high < 0.13
    assert found.verdict.startswith(f"B is {found.change:.1%} slower (95 % interval ")
    assert "faster" in change("frame", sample(1, 1.1), sample(2)).verdict


def test_the_same_seldom_stands_out() -> None:
    """Of 100 pairs of equal runs, the interval alone errs in about 5; with the drift it must be no more."""
    wrong = sum(change("frame", sample(seed), sample(seed + 1000)).stands_out for seed in range(100))
    assert wrong <= 5


def test_a_run_that_drifts_gives_no_verdict_on_less_than_its_drift() -> None:
    drifting = sample(1) * np.repeat([1.0, 1.3], 100)
    found = change("frame", drifting, sample(2, 1.25))
    assert found.drift > 0.2
    assert found.verdict.startswith("no difference beyond the noise")


def test_too_few_frames_give_no_verdict() -> None:
    assert (
        change("frame", sample(1, frames=5), sample(2, 2.0)).verdict
        == "no verdict from 5 frames; at least 8 are needed"
    )


def test_a_part_that_took_no_time() -> None:
    assert change("sink", np.zeros(20), np.zeros(20)).verdict.startswith("no difference")


@pytest.mark.parametrize("frames", [8, 9, 27, 500])
def test_any_number_of_frames(frames: int) -> None:
    assert change("frame", sample(1, frames=frames), sample(2, 1.5, frames + 1)).stands_out


def test_reports_are_compared_part_by_part() -> None:
    a = report([times(n, (40 + n % 3, 30, 5, 4)) for n in range(30)])
    b = report([times(n, (60 + n % 3, 30, 5, 4)) for n in range(30)])
    found = compare(a, b)
    by_name = {c.name: c for c in found.changes}
    assert found.changes[0].name == "capture to masks"
    assert by_name["image_encoder"].stands_out
    assert by_name["image_encoder"].change == pytest.approx(20 / 41)
    assert not by_name["memory_attention"].stands_out
    assert found.differences == ()


def test_what_is_not_the_same_is_named() -> None:
    a = report([times(n) for n in range(10)])
    busy = msgspec.structs.replace(a.device.before, load_average=(9.0, 9.0, 9.0))
    b = msgspec.structs.replace(
        report([times(n, objects=3) for n in range(10)]),
        device=msgspec.structs.replace(a.device, cpu="Other CPU", power_mode=None, before=busy),
        bundle=msgspec.structs.replace(a.bundle, precision={"image_encoder": "int8"}),
        warmup=5,
    )
    named = list(differences(a, b))
    assert "device cpu: A Some CPU, B Other CPU" in named
    assert "device power mode: A 15W, B none" in named
    assert any(line.startswith("bundle precision: A image_encoder=fp32") for line in named)
    assert "warmup frames: A 2, B 5" in named
    assert "run objects: A 2, B 3" in named
    assert "B ran on a busy machine: load 9.0 9.0 9.0 on 4 cores before it began" in named
    assert len(named) == 6
