"""Engines of the other families' stages, built as `masklet build` builds them; SAM 2's are in test_build.py."""

import shutil
from pathlib import Path

import pytest
from built_engines import build_for_rtx

pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")


FAMILIES = ["sam_bundle", "mobile_sam_bundle", "efficientvit_sam_bundle", "edgetam_bundle", "sam3_bundle"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stage_of_the_family_builds(request: pytest.FixtureRequest, tmp_path: Path, family: str) -> None:
    folder: Path = request.getfixturevalue(family)
    built = build_for_rtx(Path(shutil.copytree(folder, tmp_path / folder.name)))
    assert all(built.values())
