"""`masklet export model.pt`: the same graphs and weights as from a folder, and a manifest that names the file."""

import hashlib
from pathlib import Path

import pytest
from checkpoints import nano_config, random_model
from command_line import Cli
from masklet.runtime.bundle.bundle import Bundle
from weights_files import their_weights, write_file, write_nano_yaml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The checkpoint of `nano_bundle` as Meta's repository writes it while it trains."""
    weights = {"module." + name: tensor for name, tensor in their_weights("sam2", random_model(nano_config())).items()}
    return write_file(tmp_path / "checkpoint_3.pt", weights, epoch=3, steps={"train": 900})


def test_a_file_gives_the_bundle_of_a_folder(cli: Cli, file: Path, nano_bundle: Path, tmp_path: Path) -> None:
    target, yaml = tmp_path / "nano.bundle", write_nano_yaml(tmp_path / "nano.yaml")
    code, out, err = cli("export", file, "-o", target, "--config", yaml)
    assert (code, err) == (0, "")
    assert "sam2: its 'model' below 'module.'" in out
    made, wanted = Bundle.load(target), Bundle.load(nano_bundle)
    assert made.manifest.files() == wanted.manifest.files(), "the same bytes of graphs and weights, by their hashes"
    for one, other in zip(made.manifest.parity, wanted.manifest.parity, strict=True):
        assert (one.stage, one.format, one.output) == (other.stage, other.format, other.output)
        assert one.relative == pytest.approx(other.relative, abs=1e-6)  # sums of torch's threads
    assert made.manifest.checkpoint.sha256 == wanted.manifest.checkpoint.sha256
    assert made.manifest.checkpoint.name == str(file)
    assert made.manifest.checkpoint.file_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    code, out, _ = cli("inspect", target)
    assert code == 0
    assert "checkpoint_3.pt" in out


def test_a_bundle_is_verified_with_the_file(cli: Cli, file: Path, nano_bundle: Path, tmp_path: Path) -> None:
    yaml = write_nano_yaml(tmp_path / "nano.yaml")
    code, out, err = cli("verify", nano_bundle, "--reference", file, "--config", yaml)
    assert (code, err) == (0, "")
    assert "image_embed" in out
    code, _, err = cli("verify", nano_bundle, "--reference", file)
    assert code == 2
    assert "is a SAM 2 of no published size" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("content", [b"", b"no weights at all"])
def test_nothing_is_left_of_a_file_that_is_refused(content: bytes, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(content)
    code, out, err = cli("export", tmp_path / "model.pt", "-o", tmp_path / "bundle")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt"]
