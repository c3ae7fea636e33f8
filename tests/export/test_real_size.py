"""hiera-tiny at its real size: the tolerances, the memory that exporting takes, its engines, and 512 px."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from built_engines import build_for_rtx
from checkpoints import SIZES, random_model, sam2_config, save_checkpoint
from masklet.export import parity
from masklet.export.families.sam2 import FAMILY
from masklet.export.graphs import trace
from masklet.runtime.bundle.bundle import Bundle

pytestmark = pytest.mark.slow

TOLERANCE = {"image_encoder": 1e-5, "memory_attention": 1e-5, "mask_decoder": 1e-4, "memory_encoder": 1e-5}
MOST_KIB = 6 * 1024 * 1024


@pytest.fixture(scope="module")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM 2.1 hiera-tiny, 1024 px, exported by a process of its own."""
    folder = tmp_path_factory.mktemp("tiny")
    checkpoint, target = folder / "checkpoint", folder / "tiny.bundle"
    save_checkpoint(random_model(sam2_config(SIZES["tiny"])), checkpoint)
    code = "from masklet.runtime.cli.main import main; main()"
    words = [sys.executable, "-c", code, "export", str(checkpoint), "-o", str(target)]
    subprocess.run(words, check=True, capture_output=True)
    return target


def test_export_at_real_size(tiny_bundle: Path) -> None:
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MOST_KIB
    bundle = Bundle.load(tiny_bundle)
    assert bundle.model.variant == "2.1-hiera-tiny"
    for figure in bundle.manifest.parity:
        assert figure.relative <= TOLERANCE.get(figure.stage, 1e-5), figure


def test_engines_at_real_size(tiny_bundle: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx_bindings", reason="TensorRT for RTX is not installed")
    built = build_for_rtx(Path(shutil.copytree(tiny_bundle, tmp_path / "tiny.bundle", copy_function=os.link)))
    assert sum(map(len, built.values())) > 500  # of some thousand nodes, what is left when they are fused


@pytest.mark.parametrize("size", ["small", "base-plus", "large"])
def test_image_encoder_of_the_other_sizes_at_512(size: str, tmp_path: Path) -> None:
    """A quarter of the published depth: every width, number of heads, window and change of windows is there."""
    backbone = SIZES[size]
    depths = [max(1, blocks // 4) for blocks in backbone["blocks_per_stage"]]
    globals_ = [sum(depths[:3]) - 1] if depths[2] > 1 else []
    check_encoder({**backbone, "blocks_per_stage": depths, "global_attention_blocks": globals_}, tmp_path)


def test_whole_image_encoder_of_tiny_at_512(tmp_path: Path) -> None:
    check_encoder(SIZES["tiny"], tmp_path)


def check_encoder(backbone: dict[str, Any], folder: Path) -> None:
    model = random_model(sam2_config(backbone, side=512))
    stage = next(stage for stage in FAMILY.stages(model) if stage.spec.name == "image_encoder")
    files = trace.trace(stage).write(folder)
    calls = parity.reference_calls(stage)
    for format, paths in files.items():
        parity.require(parity.compare(stage, calls, format, folder / paths[0]), TOLERANCE["image_encoder"])
