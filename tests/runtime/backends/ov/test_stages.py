"""Every stage of every family on OpenVINO in FP32, against the checkpoint's own modules in torch."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from masklet.export import parity
from masklet.export.checkpoints.pretrained import model_type
from masklet.export.known_families import family_of
from masklet.runtime.backends.output_error import output_error
from masklet.runtime.backends.ov.backend import OpenVino
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor

EXACT = 1e-4
BFLOAT16_STEP = 2.0**-7  # relative distance of two neighbours, at most


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def rounds_alike(got: Tensor, wanted: Tensor) -> bool:
    """Whether both are the roundings to bfloat16 of numbers that differ by EXACT at most, relative to all of them."""
    apart = EXACT * float(np.sqrt(np.mean(np.square(wanted, dtype=np.float64))))
    same = np.array_equal(parity.to_bfloat16(got), got)
    return same and bool((np.abs(got - wanted) <= BFLOAT16_STEP / 2 * np.abs(wanted) * (1 + EXACT) + apart).all())


@pytest.mark.parametrize("family", ["nano", "edgetam", "sam", "mobile_sam", "edge_sam", "efficientvit_sam", "sam3"])
def test_every_stage_agrees_with_the_checkpoint(family: str, request: pytest.FixtureRequest) -> None:
    """All cases that export compares, so several shapes of each stage: compiled for one, and dynamic."""
    checkpoint, bundle = (request.getfixturevalue(f"{family}_{kind}") for kind in ("checkpoint", "bundle"))
    source, opened, backend = str(checkpoint), Bundle.load(bundle), OpenVino(1)
    model = family_of(model_type(source), source).load(source, opened.model.preprocess.side)
    for stage in family_of(model_type(source), source).stages(model):
        session = backend.open(opened, opened.model.stage(stage.spec.name))
        for trial in parity.reference_calls(stage):
            got = session.run(trial.feeds)
            for name, wanted in trial.wanted.items():
                told = f"{stage.spec.name}, {name}, {trial.case}"
                if name in stage.rounded:
                    assert rounds_alike(got[name], wanted), told
                else:
                    assert output_error(got[name], wanted).relative <= EXACT, told
        session.close()


def test_rounds_alike_sees_a_cut_off_number() -> None:
    wanted = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    cut = (wanted.view(np.uint32) & np.uint32(0xFFFF0000)).view(np.float32)
    assert rounds_alike(parity.to_bfloat16(wanted), wanted)
    assert not rounds_alike(cut, wanted)
