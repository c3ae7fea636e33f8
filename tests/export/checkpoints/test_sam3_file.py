"""SAM 3's file in Meta's names: its whole list of names, and a small one exported with a tokenizer beside it."""

import gzip
from pathlib import Path

import pytest
import torch
from command_line import Cli
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam3
from masklet.export.families.sam3 import FAMILY
from masklet.export.known_families import open_checkpoint
from masklet.export.tokenizer import CLIP_MERGES, tokenizer_file, tokenizer_of
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError
from published_names import published_names
from sam3_checkpoints import SIDE, WORDS, detector_config, random_sam3, sam3_tokenizer, video_config
from tokenizers import Tokenizer
from transformers import Sam3Config, Sam3Model, Sam3VideoConfig, Sam3VideoModel
from weights_files import layout, their_weights, write_file, write_nano_yaml

Shapes = dict[str, tuple[int, ...]]


def shapes_of(tensors: dict[str, torch.Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def empty(shapes: Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def test_names_are_a_bijection_and_shapes_say_the_size() -> None:
    theirs, found = published_names("sam3"), layout("sam3")
    assert len(theirs) == 1465
    assert found.names.unmapped(theirs) == []
    config = Sam3VideoConfig.from_dict(found.configure(theirs, Settings()))
    assert config.to_dict() == Sam3VideoConfig().to_dict(), "transformers' defaults are the published size"
    with torch.device("meta"):
        ours = shapes_of(Sam3VideoModel(config).state_dict())
    mapped = found.names.forward(empty(theirs))
    assert shapes_of(mapped) == ours
    assert shapes_of(found.names.backward(mapped)) == shapes_of(found.names.used(empty(theirs)))


def test_the_detector_alone_has_the_same_names_without_their_beginning() -> None:
    theirs = {
        n.removeprefix("detector."): shape for n, shape in published_names("sam3").items() if n.startswith("detector.")
    }
    found = layout("sam3-detector")
    assert found.names.unmapped(theirs) == []
    config = Sam3Config.from_dict(found.configure(theirs, Settings()))
    with torch.device("meta"):
        ours = shapes_of(Sam3Model(config).state_dict())
    assert shapes_of(found.names.forward(empty(theirs))) == ours


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the small SAM 3 of tests for a published size."""
    size = sam3.Hidden(SIDE, heads=4, window=4, global_blocks=(1,), text_heads=4, detector_heads=8)
    monkeypatch.setitem(sam3.PUBLISHED, (64, 3), size)


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_is_the_same_model_as_a_folder(whole: bool, small: None, tmp_path: Path) -> None:
    model = random_sam3(video_config() if whole else detector_config())
    model.save_pretrained(tmp_path / "folder")
    weights = their_weights("sam3" if whole else "sam3-detector", model)
    blocks = "detector.backbone.vision_backbone.trunk.blocks." if whole else "backbone.vision_backbone.trunk.blocks."
    rotations = {f"{blocks}{i}.attn.freqs_cis": torch.ones(16, 8, dtype=torch.complex64) for i in range(3)}
    opened = open_checkpoint(str(write_file(tmp_path / "sam3.pt", {**weights, **rotations})))
    loaded, wanted = FAMILY.load(opened, None), FAMILY.load(str(tmp_path / "folder"), None)
    ours, theirs = loaded.state_dict(), wanted.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert FAMILY.spec(loaded) == FAMILY.spec(wanted)
    if whole:
        text = {"bos_token_id": 0, "eos_token_id": 1}  # of the small tokenizer; the model does not look at them
        loaded.config.detector_config.text_config.update(text)
        assert fingerprint(loaded) == fingerprint(wanted)


def test_a_file_gives_the_bundle_of_a_folder(
    small: None, cli: Cli, sam3_checkpoint: Path, sam3_bundle: Path, tmp_path: Path
) -> None:
    weights = their_weights("sam3", random_sam3(video_config()))
    path = write_file(tmp_path / "sam3.pt", weights)
    code, _, err = cli("export", path, "-o", tmp_path / "bundle")
    assert code == 2
    assert "a file of weights has no tokenizer, which phrases need" in err
    code, _, err = cli("export", path, "-o", tmp_path / "bundle", "--tokenizer", sam3_checkpoint)
    assert (code, err) == (0, "")
    assert Bundle.load(tmp_path / "bundle").manifest.files() == Bundle.load(sam3_bundle).manifest.files()


def test_a_bundle_is_verified_with_the_file(small: None, cli: Cli, sam3_bundle: Path, tmp_path: Path) -> None:
    weights = their_weights("sam3", random_sam3(video_config()))
    code, out, err = cli("verify", sam3_bundle, "--reference", write_file(tmp_path / "sam3.pt", weights))
    assert (code, err) == (0, "")
    assert "text_encoder" in out
    detector = {n.removeprefix("detector."): tensor for n, tensor in weights.items() if n.startswith("detector.")}
    code, _, err = cli("verify", sam3_bundle, "--reference", write_file(tmp_path / "detector.pt", detector))
    assert code == 2
    assert "give the checkpoint that the bundle was made from" in err


def test_a_yaml_file_is_refused_with_the_reason(small: None, cli: Cli, tmp_path: Path) -> None:
    path, yaml = tmp_path / "sam3.pt", write_nano_yaml(tmp_path / "sam3.yaml")
    write_file(path, their_weights("sam3", random_sam3(video_config())))
    code, _, err = cli("export", path, "-o", tmp_path / "bundle", "--config", yaml)
    assert code == 2
    assert "is a sam3, of which no YAML gives dimensions: sam3/model_builder.py builds" in err
    assert len(err.splitlines()) == 1


def test_a_size_that_is_not_known_is_refused(tmp_path: Path) -> None:
    path = write_file(tmp_path / "sam3.pt", their_weights("sam3", random_sam3(video_config())))
    with pytest.raises(ExportError, match="no published size: its image backbone has 3 blocks of width 64"):
        open_checkpoint(str(path))


def write_merges(folder: Path) -> list[tuple[str, str]]:
    """CLIP's file of merges with a few of its own: the whole of each word of WORDS."""
    merges: list[tuple[str, str]] = []
    for word in WORDS.split():
        *letters, last = list(word)
        whole, *rest = [*letters, f"{last}</w>"]
        for piece in rest:
            merges += [(whole, piece)] if (whole, piece) not in merges else []
            whole += piece
    with gzip.open(folder / CLIP_MERGES, "wt") as file:
        file.write("\n".join(["#version: 0.2", *(f"{first} {second}" for first, second in merges)]))
    return merges


def test_a_tokenizer_is_made_of_clips_merges(tmp_path: Path) -> None:
    merges = write_merges(tmp_path)
    tokenizer = Tokenizer.from_str(tokenizer_file(str(tmp_path / CLIP_MERGES), 8).decode())
    start = 512 + len(merges)
    red, car = (512 + [a + b for a, b in merges].index(f"{word}</w>") for word in ("red", "car"))
    assert tokenizer.encode("a RED car").ids == [start, 320, red, car, *4 * [start + 1]], "'a' is 320 in CLIP"
    assert tokenizer.encode("q !").ids[1:3] == [256 + ord("q") - ord("!"), 256], "letters that no merge takes"


def test_a_tokenizer_is_looked_for_beside_the_file(small: None, tmp_path: Path) -> None:
    path = write_file(tmp_path / "sam3.pt", their_weights("sam3", random_sam3(video_config())))
    opened = open_checkpoint(str(path))
    assert not isinstance(opened, str)
    (tmp_path / "assets").mkdir()
    write_merges(tmp_path / "assets")
    assert tokenizer_of(opened, None) == str(tmp_path / "assets" / CLIP_MERGES)
    sam3_tokenizer().save_pretrained(tmp_path)
    assert tokenizer_of(opened, None) == str(tmp_path)
    assert tokenizer_of(opened, "openai/clip") == "openai/clip"
    (tmp_path / "broken.gz").write_bytes(b"no gzip")
    with pytest.raises(ExportError, match="its tokenizer cannot be read"):
        tokenizer_file(str(tmp_path / "broken.gz"), 8)
