"""Engines of the other families' stages, built as `masklet build` builds them; SAM 2's are in test_build.py."""

import shutil
from pathlib import Path

import pytest
from built_engines import build_for_rtx

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")


@pytest.mark.parametrize("family", ["sam", "mobile_sam", "edge_sam", "efficientvit_sam", "edgetam", "sam3"])
def test_every_stage_of_the_family_builds(request: pytest.FixtureRequest, tmp_path: Path, family: str) -> None:
    folder: Path = request.getfixturevalue(f"{family}_bundle")
    built = build_for_rtx(Path(shutil.copytree(folder, tmp_path / folder.name)))
    assert all(built.values())
