"""Several variants of a model in one bundle: what they share, and how each is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from masklet.runtime.bundle.add_engines import amend_bundle
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, read_manifest, write_manifest
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.errors import BundleError

Cli = Callable[..., tuple[int, str, str]]
FORMS = ["128", "128-foveated", "64-foveated"]


def files_of(bundle: Bundle) -> set[str]:
    return {file.path for artifact in bundle.manifest.artifacts for file in artifact.files}


def test_the_first_variant_is_the_bundle_that_it_would_be_alone(nano_bundle: Path, variants_bundle: Path) -> None:
    alone, first = Bundle.load(nano_bundle), Bundle.load(variants_bundle)
    assert first.model == alone.model
    assert first.manifest.artifacts == alone.manifest.artifacts  # files by hash


def test_variants_share_weights_and_whole_stages(variants_bundle: Path) -> None:
    loaded = Bundle.load(variants_bundle)
    assert [v.model.form for v in loaded.manifest.all_variants()] == FORMS
    first, foveated, small = (loaded.variant(form) for form in FORMS)
    assert [v.model.form for v in foveated.manifest.all_variants()] == ["128-foveated", "128", "64-foveated"]
    own = {file for file in files_of(foveated) if "foveated" in file}
    assert {Path(file).name.partition(".")[0] for file in own} == {"memory_attention"}
    assert files_of(foveated) - own <= files_of(first)
    assert small.model.preprocess.hw == (64, 64)
    assert small.model.feature_hw == (4, 4)
    assert {"image_encoder.weights", "memory_encoder.weights"} <= files_of(small)  # the first one's
    size = {file.path: file.bytes for file in loaded.manifest.files()}
    weights = sum(size[file] for file in files_of(first) if file.endswith(".weights"))
    assert sum(size[file] for file in files_of(small) - files_of(first) if file.endswith(".weights")) < weights / 10


def test_a_variant_is_chosen_by_its_form(variants_bundle: Path) -> None:
    assert Bundle.load(variants_bundle, variant="64-foveated").model.token_memory
    with pytest.raises(BundleError, match="has no variant '512', it has 128, 128-foveated, 64-foveated"):
        Bundle.load(variants_bundle, variant="512")


def test_a_bundle_from_before_there_were_variants_loads(nano_bundle: Path, tmp_path: Path) -> None:
    old = Path(shutil.copytree(nano_bundle, tmp_path / "old.bundle"))
    raw = json.loads((old / "manifest.json").read_text())
    del raw["variants"], raw["model"]["preprocess"]["height"]
    manifest = msgspec.convert(raw, type(read_manifest(old)))
    write_manifest(old, manifest)
    assert Bundle.load(old).manifest == Bundle.load(nano_bundle).manifest
    assert Bundle.load(old).model.form == "128"


def test_a_missing_stage_of_any_variant_is_found(variants_bundle: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(variants_bundle, tmp_path / "broken.bundle"))
    manifest = read_manifest(broken)
    last = manifest.variants[-1]
    without = msgspec.structs.replace(last, artifacts=tuple(a for a in last.artifacts if a.stage != "mask_decoder"))
    write_manifest(broken, msgspec.structs.replace(manifest, variants=(*manifest.variants[:-1], without)))
    with pytest.raises(BundleError, match="'mask_decoder' has no artifact"):
        Bundle.load(broken)


def test_engines_of_a_variant_leave_the_others_in_their_order(variants_bundle: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(variants_bundle, tmp_path / "b"))
    for content in (b"plan", b"rebuilt"):
        for form in ("128-foveated", "128"):
            chosen = Bundle.load(root, variant=form)
            with amend_bundle(chosen) as amendment:
                engine = Artifact("image_encoder", "tensorrt", Precision.FP32, (), {"gpu": "any"})
                amendment.put(engine, {"engines/image_encoder.engine": content})
    after = Bundle.load(root)
    assert [v.model.form for v in after.manifest.all_variants()] == FORMS
    engines = {v.model.form: [a.format for a in v.artifacts].count("tensorrt") for v in after.manifest.all_variants()}
    assert engines == {"128": 1, "128-foveated": 1, "64-foveated": 0}


def test_run_and_inspect_take_a_variant(cli: Cli, variants_bundle: Path, tmp_path: Path, folder: Path) -> None:
    code, out, _ = cli("inspect", variants_bundle, "--variant", "64-foveated")
    assert code == 0
    assert "input 64 x 64" in out
    assert "64-foveated, 128, 128-foveated" in " ".join(out.split())
    masks = tmp_path / "m.jsonl"
    words = ("run", variants_bundle, folder, "--point", "30,30", "--masks", masks)
    code, _, err = cli(*words, "--variant", "128-foveated", "--memory-detail", "foveated:20", "--memory-frames", 2)
    assert code == 0, err
    assert len(masks.read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--variant", "512"), "has no variant '512'"),
        (("--memory-detail", "pooled:2"), "export it with --foveated"),
        (("--variant", "128-foveated", "--memory-detail", "tiny"), "wanted whole, pooled:2"),
        (("--variant", "128-foveated", "--memory-detail", "foveated:1"), "give 4 or more"),
    ],
)
def test_what_cannot_be_chosen_is_one_line(
    cli: Cli, variants_bundle: Path, folder: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = cli("run", variants_bundle, folder, "--point", "30,30", *words)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        (["128", "128"], "a size is given twice"),
        (["12a"], "expected one number of pixels, or WIDTHxHEIGHT"),
        (["0"], "expected one number of pixels, or WIDTHxHEIGHT"),
        (["1x2x3"], "expected one number of pixels, or WIDTHxHEIGHT"),
    ],
)
def test_sizes_that_are_none(cli: Cli, nano_checkpoint: Path, tmp_path: Path, sizes: list[str], message: str) -> None:
    words = [word for size in sizes for word in ("--image-size", size)]
    code, _, err = cli("export", nano_checkpoint, "-o", tmp_path / "b", *words)
    assert code == 2
    assert message in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of a square."""
    import cv2
    import numpy as np

    folder = tmp_path_factory.mktemp("clip") / "frames"
    folder.mkdir()
    for t in range(4):
        image = np.full((64, 96, 3), 90, np.uint8)
        image[20:40, 20 + 2 * t : 40 + 2 * t] = (40, 60, 220)
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
    return folder
