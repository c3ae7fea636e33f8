"""Stages at a low precision beside FP32: a number that is not finite is never lost."""

from functools import partial
from math import isfinite
from pathlib import Path

import pytest
from calibration_scenes import Scene
from masklet.calibration.clips.clips import Clip
from masklet.calibration.graphs.low_precision import StagePrecision
from masklet.calibration.recording.record import record
from masklet.calibration.search.lowered_stages import LoweredStages
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import CalibrationError
from masklet.runtime.prompts.syntax import parse_prompts
from poisoned import Poisoned

FP16 = StagePrecision(Precision.FP16)


def test_not_a_number_in_any_output_of_any_stage_is_found(
    trained_bundle: Path, scenes: list[Scene], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it comes on the first feeds, and the later ones are right."""
    bundle = Bundle.load(trained_bundle)
    prompts = parse_prompts(points=scenes[0].points, negatives=(), boxes=(), masks=())
    clip = Clip(str(scenes[0].frames), prompts, {"end": 3})
    recording = record(bundle, [clip], tmp_path / "recording", seed=0, threads=1, progress=lambda *_: None)
    lowered = LoweredStages(bundle, recording, Precision.FP16, "percentile", tmp_path / "lowered", threads=1)
    opened, spoilt = lowered._open, partial(Poisoned, first_only=True)
    stages = [stage for stage in bundle.model.stages if lowered.lowest()[stage.name] == FP16]
    assert {stage.name for stage in stages} == {"image_encoder", "memory_attention", "mask_decoder", "memory_encoder"}
    for stage in stages:
        assert isfinite(lowered.compare({stage.name: FP16})[stage.name].worst)
        for tensor in stage.outputs:
            monkeypatch.setattr(lowered, "_open", lambda *given, output=tensor.name: spoilt(opened(*given), output))
            assert lowered.relative_error(stage.name, FP16) == float("inf")
            with pytest.raises(CalibrationError, match=f"'{stage.name}' at fp16: output '{tensor.name}' has NaN"):
                lowered.compare({stage.name: FP16})
        monkeypatch.undo()
