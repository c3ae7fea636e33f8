"""A file of weights, .pt, .pth or .safetensors: read without running what is in it, and without reading it whole."""

import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from masklet.runtime.errors import ExportError
from safetensors import SafetensorError, safe_open

Tensors = Mapping[str, torch.Tensor]

_ZIP, _PICKLE, _LFS = b"PK\x03\x04", b"\x80", b"version https://git-lfs"
_DEEPEST = 3  # dictionaries within dictionaries that are searched for weights


@dataclass(frozen=True)
class Part:
    """One dictionary of named tensors in a file. path: the keys that lead to it, none where it is the file itself."""

    path: tuple[str, ...]
    tensors: Tensors

    @property
    def name(self) -> str:
        """What `--weights` calls it."""
        return ".".join(self.path)

    @property
    def averaged(self) -> bool:
        """Whether it holds an exponential moving average of the weights, as its name says."""
        return any("ema" in key.lower() or "averag" in key.lower() for key in self.path)


def read_parts(path: Path) -> tuple[Part, ...]:
    """Every dictionary of named tensors in a file: a training checkpoint has several.

    Tensors stay in the file, mapped into memory, where its format allows it: they are read as they are used.
    Raises ExportError where it cannot be read whole, or holds anything but data.
    """
    found = tuple(_parts(_load(path), ()))
    if not found:
        raise ExportError(f"{path}: holds no named tensors; wanted the state_dict of a model, alone or under a name")
    return found


def _load(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
    if head.startswith(_ZIP):
        return _load_pickle(path, mapped=True)
    if head.startswith(_PICKLE):
        return _load_pickle(path, mapped=False)  # written by torch before 1.6
    if head[8:9] == b"{":
        return _load_safetensors(path)
    if head.startswith(_LFS):
        raise ExportError(f"{path}: is a Git LFS pointer, not the file itself; fetch it with: git lfs pull")
    if not head:
        raise ExportError(f"{path}: is empty")
    shown = head[:16].decode("ascii", "replace")
    raise ExportError(f"{path}: is neither a file of torch.save nor of safetensors; it begins with {shown!r}")


def _load_pickle(path: Path, *, mapped: bool) -> Any:
    try:
        if mapped and _is_torchscript(path):
            raise ExportError(f"{path}: is a TorchScript program; wanted weights: torch.save(model.state_dict(), ...)")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise ExportError(f"{path}: {_refused(str(error))}") from None
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ExportError(f"{path}: is damaged or cut short: {_first_line(error)}") from None


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _refused(message: str) -> str:
    """One line for a pickle that holds more than data, naming what it asks for; none of it was run."""
    words = message.partition("GLOBAL ")[2].split()
    named = f"wants to run or make {words[0]}" if words else "is damaged, or holds more than tensors, numbers and text"
    return (
        f"{named}; nothing of it was run. Save the weights alone, where you trust the file: "
        'torch.save({"model": model.state_dict()}, "weights.pt")'
    )


def _load_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError) as error:
        raise ExportError(f"{path}: is damaged or cut short: {_first_line(error)}") from None


def _parts(loaded: Any, path: tuple[str, ...]) -> Iterator[Part]:
    if not isinstance(loaded, Mapping) or len(path) > _DEEPEST:
        return
    tensors = {k: v for k, v in loaded.items() if isinstance(k, str) and isinstance(v, torch.Tensor)}
    if tensors:
        yield Part(path, tensors)
    for key, value in loaded.items():
        if isinstance(key, str):
            yield from _parts(value, (*path, key))


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
