"""SAM 3's checkpoints: which are loaded, which are refused, and the tokenizer that travels in the bundle."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masklet.export.families import sam3
from masklet.export.families.sam3 import FAMILY
from masklet.export.known_families import family_of
from masklet.export.pipeline import export_bundle
from masklet.export.tokenizer import tokenizer_file
from masklet.runtime.errors import BundleError, ExportError
from sam3_checkpoints import detector_config, random_sam3, sam3_tokenizer, save_sam3, tracker_config, video_config
from tokenizers import Tokenizer
from transformers import AutoTokenizer


def test_every_kind_of_checkpoint_is_of_this_family() -> None:
    for kind in ("sam3_video", "sam3", "sam3_lite_text", "sam3_tracker_video"):
        assert family_of(kind, "x") is FAMILY


@pytest.mark.parametrize(
    "config",
    [video_config, detector_config, tracker_config, lambda: detector_config(lite=True)],
    ids=["both", "detector", "tracker", "LiteText"],
)
def test_what_was_saved_is_loaded_at_another_size(config: Any, tmp_path: Path) -> None:
    saved = random_sam3(config())
    folder = str(save_sam3(saved, tmp_path / "checkpoint"))
    loaded = FAMILY.load(folder, 168)
    assert FAMILY.spec(loaded).preprocess.side == 168
    weights = dict(saved.named_parameters())
    assert all(np.array_equal(tensor, weights[name]) for name, tensor in loaded.named_parameters())
    for stage in FAMILY.stages(loaded):
        stage.feeds(stage.cases[0], 0)
    with pytest.raises(ExportError, match="image size 200 is not a multiple of 14; the nearest is 196"):
        FAMILY.load(folder, 200)


def altered(change: str) -> Any:
    config = video_config()
    detector, tracker = config.detector_config, config.tracker_config
    if change == "width":
        detector.detr_encoder_config.hidden_size = 64
    elif change == "levels":
        detector.vision_config.scale_factors = [2.0, 1.0, 0.5]
    elif change == "patch":
        tracker.prompt_encoder_config.patch_size = 16
    elif change == "memory":
        tracker.memory_encoder_output_channels = 32
    elif change == "text":
        detector.text_config.max_position_embeddings = 16
    return config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("width", "expected one width of the detector"),
        ("levels", "expected a pyramid with levels of 4, 2 and 1 times"),
        ("patch", "expected one patch_size"),
        ("memory", "expected memory_encoder_output_channels 64"),
        ("text", "expected phrases of 32 tokens"),
    ],
)
def test_another_layout_is_refused(change: str, message: str) -> None:
    refusal = f"^some/model: its configuration is not supported by the sam3 graphs; {message}"
    with pytest.raises(ExportError, match=refusal):
        sam3.resize(altered(change), 112, "some/model")


def test_another_backbone_is_refused() -> None:
    config = video_config()
    config.detector_config.vision_config.backbone_config.model_type = "pvt"
    with pytest.raises(ExportError, match="image backbone 'pvt'; expected sam3_vit_model"):
        sam3.resize(config, 112, "some/model")


def test_half_a_checkpoint_is_refused(sam3_checkpoint: Path, tmp_path: Path) -> None:
    """A detector whose configuration speaks of a tracker as well."""
    folder = tmp_path / "half"
    random_sam3(detector_config()).save_pretrained(folder)
    (folder / "config.json").write_text((sam3_checkpoint / "config.json").read_text())
    with pytest.raises(ExportError, match=r"the checkpoint lacks .* it is not a complete Sam3VideoModel"):
        FAMILY.load(str(folder), None)


def test_a_detector_without_a_tokenizer_is_refused_before_anything_is_traced(tmp_path: Path) -> None:
    folder = tmp_path / "mute"
    random_sam3(detector_config()).save_pretrained(folder)
    steps: list[str] = []
    with pytest.raises(ExportError, match=r"has no tokenizer\.json, which phrases need"):
        export_bundle(str(folder), tmp_path / "b", progress=steps.append)
    assert not any("tracing" in step for step in steps)
    assert not (tmp_path / "b").exists()


def test_a_broken_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "sam3"}))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ExportError, match="its tokenizer cannot be read"):
        tokenizer_file(str(folder), 32)


PHRASES = ("a person", "", "The  Red\tBUS's wheel", "zebra-crossing", "собака", "狗", "a" * 80, "two " * 40)


@pytest.mark.parametrize("phrase", PHRASES)
def test_the_tokenizer_is_that_of_transformers(sam3_checkpoint: Path, phrase: str) -> None:
    """Padded to 32, and not cut off: a phrase that is too long is longer."""
    tokenizer = Tokenizer.from_str(tokenizer_file(str(sam3_checkpoint), 32).decode())
    wanted = AutoTokenizer.from_pretrained(sam3_checkpoint)(phrase, padding="max_length", max_length=32)
    got = tokenizer.encode(phrase)
    assert got.ids == wanted["input_ids"]
    assert got.attention_mask == wanted["attention_mask"]
    assert len(got.ids) >= 32


def test_other_scripts_are_unknown_to_a_small_tokenizer(sam3_checkpoint: Path) -> None:
    tokenizer = Tokenizer.from_str(tokenizer_file(str(sam3_checkpoint), 32).decode())
    unknown = sam3_tokenizer().unk_token_id
    for phrase, count in (("dog", 1), ("собака", 2)):  # the end of a phrase bears the same number
        text = tokenizer.encode(phrase)
        assert sum(np.array(text.ids)[np.array(text.attention_mask) > 0] == unknown) == count


def test_a_bundle_brings_its_tokenizer(sam3_bundle: Path, sam3_checkpoint: Path, nano_bundle: Path) -> None:
    from masklet.runtime.bundle.bundle import Bundle

    bundle = Bundle.load(sam3_bundle)
    assert bundle.model.concepts is not None
    path = bundle.asset(bundle.model.concepts.tokenizer)
    assert path.read_bytes() == tokenizer_file(str(sam3_checkpoint), 32)
    with pytest.raises(BundleError, match=r"has no asset 'tokenizer\.json', it has none"):
        Bundle.load(nano_bundle).asset("tokenizer.json")
    with pytest.raises(BundleError, match=r"has no asset 'manifest\.json', it has tokenizer\.json"):
        bundle.asset("manifest.json")
