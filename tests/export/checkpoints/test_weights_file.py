"""Files of weights: what is read of them, and one line for everything that is no such file."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from masklet.export.checkpoints.weights_file import read_parts
from masklet.runtime.errors import ExportError
from safetensors.torch import save_file

WEIGHTS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def refused(path: Path) -> str:
    """The one line about a file that cannot be read."""
    with pytest.raises(ExportError) as caught:
        read_parts(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize("zipped", [True, False])
def test_a_dictionary_of_tensors(zipped: bool, tmp_path: Path) -> None:
    torch.save(WEIGHTS, tmp_path / "model.pth", _use_new_zipfile_serialization=zipped)
    (part,) = read_parts(tmp_path / "model.pth")
    assert part.name == ""
    assert {name: tensor.tolist() for name, tensor in part.tensors.items()} == {
        "a.weight": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "a.bias": [1.0, 1.0],
    }


def test_a_safetensors_file(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    (part,) = read_parts(tmp_path / "model.safetensors")
    assert torch.equal(part.tensors["a.weight"], WEIGHTS["a.weight"])


def test_a_training_checkpoint_has_parts(tmp_path: Path) -> None:
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    state = {"model": WEIGHTS, "ema": {"module": WEIGHTS}, "optimizer": optimizer.state_dict(), "epoch": 3, "loss": 0.5}
    torch.save(state, tmp_path / "last.pt")
    parts = {part.name: part for part in read_parts(tmp_path / "last.pt")}
    assert set(parts) == {"model", "ema.module"}
    assert parts["ema.module"].averaged
    assert not parts["model"].averaged


class Planted:
    """A pickle that makes a folder when it is loaded as pickle loads."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


def test_code_in_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    planted = tmp_path / "planted"
    for name, zipped in (("new.pt", True), ("old.pt", False)):
        torch.save(
            {"model": WEIGHTS, "extra": Planted(planted)}, tmp_path / name, _use_new_zipfile_serialization=zipped
        )
        line = refused(tmp_path / name)
        assert "posix.mkdir; nothing of it was run" in line
        assert not planted.exists()
    torch.load(tmp_path / "new.pt", weights_only=False)
    assert planted.exists(), "the pickle would have done it"


def test_a_whole_model_in_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(3, 2), tmp_path / "model.pt")
    line = refused(tmp_path / "model.pt")
    assert "torch.nn.modules.linear.Linear" in line
    assert "model.state_dict()" in line


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.98])
def test_a_truncated_file(kept: float, tmp_path: Path) -> None:
    weights = {f"{i}.weight": torch.randn(50, 50) for i in range(10)}
    torch.save(weights, tmp_path / "model.pt")
    save_file(weights, tmp_path / "model.safetensors")
    torch.save(weights, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    for path in tmp_path.iterdir():
        os.truncate(path, int(kept * path.stat().st_size))
        assert "is damaged or cut short" in refused(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "it begins with '<!DOCTYPE html><'"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "is a Git LFS pointer"),
        (b"\x80\x02garbage that is no pickle", "is damaged, or holds more than tensors, numbers and text"),
        (b"PK\x03\x04garbage that is no archive", "is damaged or cut short"),
    ],
)
def test_what_is_no_file_of_weights(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    assert message in refused(path)


def test_other_data_is_no_model(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "history": [1.0, 2.0], "lr": {"a": 1}}, tmp_path / "log.pt")
    assert "holds no named tensors" in refused(tmp_path / "log.pt")
    torch.save(torch.ones(3), tmp_path / "one.pt")
    assert "holds no named tensors" in refused(tmp_path / "one.pt")


def test_a_torchscript_program(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 2)), str(tmp_path / "model.pt"))
    assert "is a TorchScript program" in refused(tmp_path / "model.pt")


READ_MODEL = """
import json, resource, sys
from pathlib import Path
from masklet.export.checkpoints.weights_file import read_parts

def peak_kib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

before = peak_kib()
parts = {part.name: part.tensors for part in read_parts(Path(sys.argv[1]))}
total = sum(tensor.sum().item() for tensor in parts["model"].values())
print(json.dumps([total, peak_kib() - before]))
"""


def test_a_file_is_mapped_and_not_read_whole(tmp_path: Path) -> None:
    """A quarter of a gigabyte of an optimizer beside a small model costs no memory."""
    path = tmp_path / "last.pt"
    big = torch.from_file(str(tmp_path / "zeros"), shared=True, size=2**26)
    torch.save({"model": WEIGHTS, "optimizer": {"exp_avg": big}}, path)
    ran = subprocess.run([sys.executable, "-c", READ_MODEL, str(path)], check=True, capture_output=True, text=True)
    total, grown_kib = json.loads(ran.stdout)
    assert total == 17.0
    assert path.stat().st_size > 2**28
    assert grown_kib < 2**16
