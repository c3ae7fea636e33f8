"""What a file of weights is taken for, and the one line for what it cannot be."""

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoints import nano_config, random_model
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.recognise import FileOptions, RecognisedFile
from masklet.export.families.sam2 import FAMILY
from masklet.export.known_families import open_checkpoint
from masklet.runtime.errors import ExportError
from safetensors.torch import save_file
from weights_files import their_weights, write_file, write_nano_yaml


@pytest.fixture(scope="module")
def model() -> Any:
    return random_model(nano_config())


@pytest.fixture(scope="module")
def weights(model: Any) -> dict[str, torch.Tensor]:
    return their_weights("sam2", model)


@pytest.fixture
def nano_yaml(tmp_path: Path) -> Path:
    return write_nano_yaml(tmp_path / "nano.yaml")


def opened(path: Path, **options: Any) -> RecognisedFile:
    found = open_checkpoint(str(path), FileOptions(**options))
    assert isinstance(found, RecognisedFile)
    return found


def refused(path: Path, **options: Any) -> str:
    """The one line about a file that cannot be exported."""
    with pytest.raises(ExportError) as caught:
        FAMILY.load(opened(path, **options), None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def same_weights(found: RecognisedFile, model: Any) -> bool:
    loaded, wanted = FAMILY.load(found, None).state_dict(), model.state_dict()
    return loaded.keys() == wanted.keys() and all(torch.equal(loaded[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_a_file_is_the_same_model_as_a_folder(version: str, nano_yaml: Path, tmp_path: Path) -> None:
    """To the last bit of weights and configuration, so that its graphs are the same."""
    model = random_model(nano_config(version=version))
    model.save_pretrained(tmp_path / "folder")
    path = write_file(tmp_path / "model.pt", their_weights("sam2", model))
    loaded = FAMILY.load(opened(path, config=nano_yaml), None)
    assert fingerprint(loaded) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
    assert FAMILY.spec(loaded).variant == f"{version}-hiera-custom"


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "sam2.", "_orig_mod.", "net.module."])
def test_prefixes(prefix: str, model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, tmp_path / "model.pt")
    found = opened(tmp_path / "model.pt", config=nano_yaml)
    assert same_weights(found, model)
    assert found.layout == "sam2"


def test_safetensors(model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    save_file(weights, tmp_path / "model.safetensors")
    assert same_weights(opened(tmp_path / "model.safetensors", config=nano_yaml), model)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision(kind: torch.dtype, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    path = write_file(tmp_path / "half.pt", {name: tensor.to(kind) for name, tensor in weights.items()})
    loaded = FAMILY.load(opened(path, config=nano_yaml), None).state_dict()
    name = "memory_encoder.projection.weight"
    assert loaded[name].dtype == torch.float32
    assert torch.equal(loaded[name], weights["memory_encoder.out_proj.weight"].to(kind).float())


def test_the_moving_average_is_taken_unless_another_is_named(
    model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    last = {name: tensor + 1 for name, tensor in weights.items()}
    path = write_file(tmp_path / "last.pt", last, model_ema={"module." + n: t for n, t in weights.items()}, epoch=7)
    found = opened(path, config=nano_yaml)
    assert same_weights(found, model)
    assert found.taken == "sam2: its 'model_ema' below 'module.', not 'model'"
    assert not same_weights(opened(path, config=nano_yaml, weights="model"), model)
    assert "has no weights 'swa'; there are 'model', 'model_ema'" in refused(path, weights="swa")


def test_an_average_that_is_not_the_whole_model_is_named_as_not_taken(
    model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    part = {name: tensor + 1 for name, tensor in weights.items() if name.startswith("sam_mask_decoder.")}
    found = opened(write_file(tmp_path / "last.pt", weights, ema=part), config=nano_yaml)
    assert same_weights(found, model)
    assert found.taken == "sam2: its 'model', not 'ema'"


def test_an_average_beside_the_model_in_one_dictionary(
    model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    both = {"online_model." + n: t + 1 for n, t in weights.items()} | {"ema_model." + n: t for n, t in weights.items()}
    torch.save({"ema": {**both, "initted": torch.tensor(True), "step": torch.tensor(9)}}, tmp_path / "ema.pt")
    assert same_weights(opened(tmp_path / "ema.pt", config=nano_yaml), model)


def test_an_added_head_is_named_and_can_be_left_out(
    model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    heads = {f"class_head.{i}.weight": torch.ones(2) for i in range(12)}
    path = write_file(tmp_path / "tuned.pt", {**weights, **heads})
    line = refused(path, config=nano_yaml)
    assert "is a sam2, but nothing is known of class_head.0.weight" in line
    assert "class_head.9.weight and 2 more" in line
    assert line.endswith("leave them out: --ignore 'class_head.*'")
    assert same_weights(opened(path, config=nano_yaml, ignore=("class_head.*",)), model)
    both = ("class_head.?.weight", "class_head.1[01].*")
    assert same_weights(opened(path, config=nano_yaml, ignore=both), model)


def test_the_pattern_for_a_head_leaves_the_model_in(
    model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    state = {"module." + name: tensor for name, tensor in weights.items()}
    path = write_file(tmp_path / "tuned.pt", {**state, "module.sam_mask_decoder.my_head.weight": torch.ones(2)})
    line = refused(path, config=nano_yaml)
    assert line.endswith("leave them out: --ignore 'module.sam_mask_decoder.my_head.*'")
    assert same_weights(opened(path, config=nano_yaml, ignore=("module.sam_mask_decoder.my_head.*",)), model)


def test_a_head_outside_the_prefix(weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    state = {"model." + name: tensor for name, tensor in weights.items()}
    torch.save({"state_dict": {**state, "loss.weight": torch.ones(2)}}, tmp_path / "lightning.ckpt")
    assert "nothing is known of loss.weight" in refused(tmp_path / "lightning.ckpt", config=nano_yaml)


def test_missing_weights_are_named_as_the_file_names_them(
    weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    rest = {name: tensor for name, tensor in weights.items() if not name.startswith("obj_ptr_proj.layers.1")}
    path = write_file(tmp_path / "part.pt", rest)
    line = refused(path, config=nano_yaml)
    assert line.startswith(f"{path}: the checkpoint lacks obj_ptr_proj.layers.1.bias, obj_ptr_proj.layers.1.weight")


def test_a_size_that_was_never_published_wants_its_yaml(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = write_file(tmp_path / "nano.pt", weights)
    line = refused(path)
    assert f"{path}: is a SAM 2 of no published size (width 24, [1, 1, 3, 1] blocks)" in line
    assert "--config FILE.yaml" in line


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("embed_dim: 24", "embed_dim: 96", "says 96 for model.image_encoder.trunk.embed_dim, but the weights have 24"),
        ("[1, 1, 3, 1]", "[1, 2, 7, 2]", "says [1, 2, 7, 2] for model.image_encoder.trunk.stages"),
        ("num_layers: 2", "num_layers: 4", "says 4 for model.memory_attention.num_layers, but the weights have 2"),
        ("num_maskmem: 7", "num_maskmem: 5", "says 5 for model.num_maskmem, but the weights have 7"),
        ("num_heads: 1", "num_heads: one", "model.image_encoder.trunk.num_heads is 'one'; wanted a value like 1"),
        ("num_maskmem: 7", "add_tpos_enc_to_obj_ptrs: false", "add_tpos_enc_to_obj_ptrs, but the weights have"),
        ("num_maskmem: 7", "directly_add_no_mem_embed: false", "directly_add_no_mem_embed; only true is exported"),
        ("num_maskmem: 7", "memory_temporal_stride_for_eval: 5", "memory_temporal_stride_for_eval; only 1 is exported"),
        ("model:", "modle:", "describes no model"),
        ("stages: [", "stages: [[", "is not YAML"),
    ],
)
def test_a_yaml_of_another_model(
    old: str, new: str, message: str, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    nano_yaml.write_text(nano_yaml.read_text().replace(old, new))
    line = refused(write_file(tmp_path / "nano.pt", weights), config=nano_yaml)
    assert line.startswith(f"{nano_yaml}: ")
    assert message in line


def test_a_yaml_of_training(model: Any, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    """In Meta's training files the model stands in the trainer, and its size is a reference."""
    inner = nano_yaml.read_text().strip().replace("\n", "\n  ").replace("128\n", "${scratch.resolution}\n", 1)
    nano_yaml.write_text(f"scratch:\n  resolution: 128\ntrainer:\n  {inner}\n")
    found = opened(write_file(tmp_path / "nano.pt", weights), config=nano_yaml)
    assert found.config["image_size"] == 128
    assert same_weights(found, model)


def test_lora_layers(weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    lora = {f"image_encoder.trunk.blocks.{i}.attn.qkv.lora_A": torch.ones(4, 24) for i in range(3)}
    assert "holds LoRA layers alone" in refused(write_file(tmp_path / "lora.pt", lora))
    line = refused(write_file(tmp_path / "both.pt", {**weights, **lora}), config=nano_yaml)
    assert "with LoRA layers that are not merged" in line


def test_an_unknown_model(tmp_path: Path) -> None:
    path = write_file(tmp_path / "resnet.pt", {"conv1.weight": torch.ones(4, 3, 7, 7), "fc.bias": torch.ones(10)})
    line = refused(path)
    assert f"{path}: is of an unknown model: 2 tensors, the first is conv1.weight [4, 3, 7, 7]; known are " in line
    assert "sam2" in line


def test_a_part_of_a_known_model(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    image_only = {name: tensor for name, tensor in weights.items() if not name.startswith(("mem", "maskmem", "no_mem"))}
    line = refused(write_file(tmp_path / "image.pt", image_only))
    assert "is not a whole sam2" in line
    assert "lacks maskmem_tpos_enc" in line


def test_quantised_weights(weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    name = "memory_encoder.out_proj.weight"
    path = write_file(tmp_path / "int8.pt", {**weights, name: weights[name].to(torch.int8)})
    assert f"{name} is int8; wanted float32" in refused(path, config=nano_yaml)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged(
    value: float, weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    broken = {**weights, "no_mem_embed": torch.full_like(weights["no_mem_embed"], value)}
    line = refused(write_file(tmp_path / "nano.pt", broken), config=nano_yaml)
    assert "no_mem_embed holds NaN or infinite numbers" in line


def test_the_mask_decoder_of_sam_hq_in_another_model(
    weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path
) -> None:
    hq = {**weights, "sam_mask_decoder.hf_token.weight": torch.ones(1, 128)}
    line = refused(write_file(tmp_path / "sam2.1_hq_hiera_large.pt", hq), config=nano_yaml)
    assert "is a sam2 with the mask decoder of SAM-HQ" in line
    assert "--ignore" not in line


def test_a_family_that_is_named(weights: dict[str, torch.Tensor], nano_yaml: Path, tmp_path: Path) -> None:
    path = write_file(tmp_path / "nano.pt", weights)
    assert opened(path, family="sam2", config=nano_yaml).layout == "sam2"
    assert "--family 'sam9' is not known; there are" in refused(path, family="sam9")


def test_a_file_that_is_not_there_is_not_looked_for_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"sam2\.pt: no such file$"):
        open_checkpoint(str(tmp_path / "sam2.pt"), FileOptions(family="sam2"))


def test_options_of_files_are_for_files(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="need a file of weights"):
        open_checkpoint(str(tmp_path), FileOptions(family="sam2"))
