"""`masklet export` and `masklet verify`: what they leave behind, and one line for everything that can be wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import nano_config, random_model, save_checkpoint, save_image_checkpoint
from command_line import process_words
from masklet.export import verbs
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.families.sam2 import FAMILY, FOURIER
from masklet.export.pipeline import export_bundle
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.cli.main import main
from safetensors.torch import load_file, save_file

Cli = Callable[..., tuple[int, str, str]]
WEIGHTS = "model.safetensors"


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line; returns the exit code, stdout and stderr."""

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["masklet", *map(str, words)])
        capfd.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as end:
            code = end.code
        out, err = capfd.readouterr()
        return code if isinstance(code, int) else 0, out, err

    return run


@pytest.fixture
def checkpoint(nano_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint for a test to spoil."""
    return Path(shutil.copytree(nano_checkpoint, tmp_path / "checkpoint"))


def refused(cli: Cli, source: object, tmp_path: Path, *options: object) -> str:
    """Export something that cannot be; returns the one line, after making sure that nothing is left behind."""
    target = tmp_path / "out" / "bundle"
    target.parent.mkdir(exist_ok=True)
    code, out, err = cli("export", source, "-o", target, *options)
    assert code == 2
    assert not out
    assert len(err.strip().splitlines()) == 1, err
    assert list(target.parent.iterdir()) == []
    return err


def test_export_writes_a_bundle_that_verifies(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    """The whole way, of SAM 2.0 for another frame size than the checkpoint's."""
    old = save_checkpoint(random_model(nano_config(version="2.0")), tmp_path / "old")
    target = tmp_path / "old.bundle"
    code, out, err = cli("export", old, "-o", target, "--image-size", 256)
    assert (code, err) == (0, "")
    assert "memory_attention" in out
    bundle = Bundle.load(target)
    assert bundle.model.preprocess.side == 256
    assert bundle.model.variant == "2.0-hiera-custom"
    assert bundle.manifest.checkpoint.name == str(old)
    assert all(figure.relative < 1e-5 for figure in bundle.manifest.parity if figure.stage != "mask_decoder")
    assert cli("verify", target)[0] == 0
    code, out, err = cli("verify", target, "--reference", checkpoint)
    assert code == 2
    assert "give the checkpoint that the bundle was made from" in err


def test_verify_compares_with_a_checkpoint(
    cli: Cli, nano_bundle: Path, nano_checkpoint: Path, checkpoint: Path
) -> None:
    code, out, err = cli("verify", nano_bundle, "--reference", nano_checkpoint)
    assert (code, err) == (0, "")
    assert "image_embed" in out
    weights = load_file(checkpoint / WEIGHTS)
    weights["mask_downsample.weight"] *= 1.01
    save_file(weights, checkpoint / WEIGHTS, metadata={"format": "pt"})
    code, out, err = cli("verify", nano_bundle, "--reference", checkpoint)
    assert code == 2
    assert "stage 'mask_prompt_encoder' (onnx), output 'mask_prompt'" in err


def test_verify_finds_an_altered_graph(cli: Cli, nano_bundle: Path, tmp_path: Path) -> None:
    spoilt = Path(shutil.copytree(nano_bundle, tmp_path / "spoilt"))
    with (spoilt / "mask_decoder.weights").open("r+b") as file:
        file.write(b"\xff")
    code, _, err = cli("verify", spoilt)
    assert code == 2
    assert "mask_decoder.weights was altered" in err


def test_an_existing_bundle_is_replaced_only_when_told(cli: Cli, nano_bundle: Path, tmp_path: Path) -> None:
    code, _, err = cli("export", tmp_path, "-o", nano_bundle)
    assert code == 2
    assert "--force" in err


def test_missing_weights(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    del weights["no_memory_embedding"]
    save_file(weights, checkpoint / WEIGHTS, metadata={"format": "pt"})
    assert "lacks no_memory_embedding" in refused(cli, checkpoint, tmp_path)


@pytest.mark.parametrize("name", FOURIER)
def test_tensor_saved_under_one_of_its_two_names(name: str, checkpoint: Path) -> None:
    whole = fingerprint(FAMILY.load(str(checkpoint), None))
    weights = load_file(checkpoint / WEIGHTS)
    del weights[name]
    save_file(weights, checkpoint / WEIGHTS, metadata={"format": "pt"})
    assert fingerprint(FAMILY.load(str(checkpoint), None)) == whole


def test_mismatched_weights(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    weights["object_pointer_proj.proj_in.weight"] = weights["object_pointer_proj.proj_in.weight"][:64].clone()
    save_file(weights, checkpoint / WEIGHTS, metadata={"format": "pt"})
    assert "object_pointer_proj.proj_in.weight" in refused(cli, checkpoint, tmp_path)


def test_truncated_weights(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    os.truncate(checkpoint / WEIGHTS, 100_000)
    assert f"{checkpoint}: cannot be loaded" in refused(cli, checkpoint, tmp_path)


def test_no_weights(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / WEIGHTS).unlink()
    assert WEIGHTS in refused(cli, checkpoint, tmp_path)


def test_no_configuration(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "has no config.json" in refused(cli, tmp_path / "empty", tmp_path)


def test_an_image_model_has_no_memory(cli: Cli, tmp_path: Path) -> None:
    source = save_image_checkpoint(nano_config(), tmp_path / "image")
    assert "lacks" in refused(cli, source, tmp_path)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": 3}'])
def test_a_configuration_that_is_none(text: str, cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "config.json").write_text(text)
    assert str(checkpoint) in refused(cli, checkpoint, tmp_path)


def test_another_architecture(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "config.json").write_text(json.dumps({"model_type": "bert"}))
    assert "no family exports model type 'bert'; known:" in refused(cli, checkpoint, tmp_path)


def test_a_layout_that_the_graphs_do_not_have(cli: Cli, checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text())
    config["memory_encoder_output_channels"] = 32
    (checkpoint / "config.json").write_text(json.dumps(config))
    assert "memory_encoder_output_channels 64" in refused(cli, checkpoint, tmp_path)


def test_an_image_size_that_does_not_fit(cli: Cli, nano_checkpoint: Path, tmp_path: Path) -> None:
    err = refused(cli, nano_checkpoint, tmp_path, "--image-size", 100)
    assert "image size 100 is not a multiple of 32; the nearest is 96" in err


@pytest.mark.parametrize("source", ["masklet/there-is-no-such-model", "no/such/folder", "no such name"])
def test_a_model_that_cannot_be_had(source: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert f"{source}: no such folder, and cannot be downloaded" in refused(cli, source, tmp_path)


def test_a_hub_that_cannot_be_reached_is_one_line(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library tries again five times, and would give an account of each."""
    import huggingface_hub.constants

    waited: list[float] = []
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", waited.append)
    err = refused(cli, "masklet/there-is-no-such-model", tmp_path)
    assert len(waited) >= 1, "it was tried again"
    assert err.count("\n") == 1
    assert "there-is-no-such-model: no such folder, and cannot be downloaded" in err


def test_a_folder_that_cannot_be_written(cli: Cli, nano_checkpoint: Path, tmp_path: Path) -> None:
    code, _, err = cli("export", nano_checkpoint, "-o", tmp_path / "missing" / "bundle")
    assert code == 2
    assert "does not exist" in err


def test_without_torch_it_says_what_to_install(
    cli: Cli, nano_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "NEEDED", ("torch", "a_package_that_is_not_there"))
    err = refused(cli, nano_checkpoint, tmp_path)
    assert "exporting needs a_package_that_is_not_there; install it with: pip install 'masklet[export]'" in err


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_export_leaves_nothing(sent: signal.Signals, nano_checkpoint: Path, tmp_path: Path) -> None:
    words = process_words("export", nano_checkpoint, "-o", tmp_path / "bundle")
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        wait_for_a_graph(tmp_path, process)
        process.send_signal(sent)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines()[-1] == b"masklet: interrupted"
    assert list(tmp_path.iterdir()) == []


def wait_for_a_graph(folder: Path, process: "subprocess.Popen[bytes]") -> None:
    """Wait until an export that is under way has written its first graph."""
    for _ in range(1200):
        if process.poll() is None and list(folder.glob(".bundle.*.tmp/*.onnx")):
            return
        time.sleep(0.1)
    raise TimeoutError("the export wrote no graph")


def test_progress_counts_the_stages(nano_checkpoint: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    exported = export_bundle(str(nano_checkpoint), tmp_path / "bundle", progress=steps.append)
    names = [stage.name for stage in exported.variants[0].model.stages]
    wanted = [f"stage {n} of {len(names)}, {name}: tracing" for n, name in enumerate(names, start=1)]
    assert [step for step in steps if "tracing" in step] == wanted
