"""Timing of candidates: the fastest is taken, nothing else stays open, and choosing costs what it may."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.backends.placement.trial import Budget, StageTrial
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import SessionError
from scripted_backends import Machine, Script

from .conftest import Here

BF16 = Precision.BF16


def trial(bundle: Bundle, machine: Machine, left_s: float = 10.0) -> tuple[StageTrial, str]:
    """Time what there is for the mask prompt encoder; the trial, and who won."""
    stage = bundle.model.stage("mask_prompt_encoder")
    feeds = {t.name: np.zeros(t.sized({"objects": 1}), t.dtype) for t in stage.inputs}
    one = StageTrial(bundle, stage, Budget(left_s, machine.clock), lambda name: nullcontext())
    candidate, session = one.run(machine.forms().candidates(bundle, stage)[0], feeds)
    session.run(feeds)
    assert machine.ran[-1] == candidate.form.name
    opened, closed = sorted(machine.opened), sorted([*machine.closed, candidate.form.name])
    assert opened == closed, "what did not win is closed, what won is not"
    return one, candidate.form.name


@pytest.fixture
def bundle(nano_bundle: Path) -> Bundle:
    return Bundle.load(nano_bundle)


def test_the_fastest_is_taken(bundle: Bundle, here: Here) -> None:
    found, name = trial(bundle, here(onnxruntime=Script(0.3), b=Script(0.1), c=Script(0.11, first_s=0.5)))
    assert name == "b"
    assert {name: each.seconds for name, each in found.timed.items()} == pytest.approx(
        {"onnxruntime": 0.3, "b": 0.1, "c": 0.11}
    )


def test_candidates_near_each_other_take_turns(bundle: Bundle, here: Here) -> None:
    machine = here(a=Script(0.1), b=Script(0.101))
    trial(bundle, machine)
    assert "".join(machine.ran).startswith("aabb" + "ab" * 3)


def test_a_slow_one_is_run_once(bundle: Bundle, here: Here) -> None:
    machine = here(a=Script(0.5), b=Script(5.0))
    trial(bundle, machine, left_s=60)
    assert machine.ran.count("b") == 1


def test_choosing_costs_what_it_may(bundle: Bundle, here: Here) -> None:
    """Beyond what a run with the choice known takes: the winner's opening and first call."""
    machine = here(a=Script(2.0, open_s=1.0), b=Script(2.5, open_s=1.0), c=Script(2.5, open_s=1.0))
    found, _ = trial(bundle, machine)
    assert found.out == {"c": "not timed: choosing may take 10 s"}
    machine = here(a=Script(50.0), b=Script(10.0))
    assert trial(bundle, machine)[1] == "a", "where one call is beyond it, the likely fastest is taken untimed"
    assert machine.ran.count("b") == 0


def test_calls_that_are_quick_are_timed_whatever_is_left(bundle: Bundle, here: Here) -> None:
    assert trial(bundle, here(a=Script(0.01), b=Script(0.005)), left_s=0.0)[1] == "b"


def test_what_computes_something_else_is_left_out(bundle: Bundle, here: Here) -> None:
    found, name = trial(bundle, here(onnxruntime=Script(0.3), a=Script(0.1, scale=5.0), b=Script(0.2, scale=1.01)))
    assert name == "b"
    assert found.out["a"] == "its outputs are not those of onnxruntime: relative error 4.0e+00"
    found, name = trial(bundle, here(onnxruntime=Script(0.3), a=Script(0.1, scale=float("nan"))))
    assert name == "onnxruntime"


def test_what_cannot_be_opened_is_left_out(bundle: Bundle, here: Here) -> None:
    found, name = trial(bundle, here(a=Script(fails="out of memory"), b=Script(0.2)))
    assert (name, found.out) == ("b", {"a": "out of memory"})
    with pytest.raises(SessionError, match="'mask_prompt_encoder': nothing can run it here: a: out of memory; b: lost"):
        trial(bundle, here(a=Script(fails="out of memory"), b=Script(fails="lost")))


def test_only_proved_precisions_are_candidates(bundle: Bundle, here: Here) -> None:
    machine = here(a=Script(precision=BF16), b=Script(), c=Script(missing="no such device"))
    found, out = machine.forms().candidates(bundle, bundle.model.stage("image_encoder"))
    assert [candidate.form.name for candidate in found] == ["b"]
    assert out == {"a": "not proved; masklet calibrate --precision bf16", "c": "no such device"}
