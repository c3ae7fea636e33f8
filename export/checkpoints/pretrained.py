"""Loads models from checkpoints and checks that they are complete."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.utils import logging as hub_logging
from masklet.export.checkpoints.recognise import RecognisedFile
from masklet.runtime.errors import ExportError
from safetensors import SafetensorError
from transformers.utils import logging

_NOT_THE_MODEL = ("transformers_version", "_name_or_path", "architectures", "dtype")
Source = str | RecognisedFile  # a hub id or a folder written by save_pretrained, or a file of weights
_LISTED = 3  # maximum number of names listed in a message; the rest is counted


def model_type(source: Source) -> str:
    """The model type of transformers that a checkpoint has.

    Raises ExportError if there is none or it cannot be loaded.
    """
    if isinstance(source, RecognisedFile):
        return str(source.config["model_type"])
    path = Path(source)
    if path.exists() and not (path / "config.json").is_file():
        raise ExportError(f"{source}: has no config.json; expected a hub id or a folder written by save_pretrained")
    try:
        with _quiet():
            config, _ = transformers.PreTrainedConfig.get_config_dict(source)
    except (OSError, ValueError) as error:
        raise ExportError(f"{source}: {_cannot_be_had(source, error)}") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if not isinstance(kind, str):
        raise ExportError(f"{source}: its config.json names no model_type")
    return kind


def configuration(kind: Any, source: Source) -> Any:
    """The configuration of a checkpoint. kind: a class of transformers."""
    if isinstance(source, RecognisedFile):
        return kind.from_dict(source.config)
    with _quiet():
        return kind.from_pretrained(source)


def load_weights(architecture: Any, config: Any, source: Source, twins: tuple[str, ...] = ()) -> Any:
    """Load a checkpoint into an architecture, in float32 and for inference.

    twins: names of the same tensor; a checkpoint may have it under only one of them, since some versions of
           transformers save tied tensors once.
    Raises ExportError if weights are missing or have other shapes: transformers would initialise them at random.
    """
    name, given = (None, dict(source.tensors)) if isinstance(source, RecognisedFile) else (source, None)
    try:
        with _quiet():
            model, info = architecture.from_pretrained(
                name,
                state_dict=given,
                config=config,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ExportError(f"{source}: {_cannot_be_had(source, error)}") from None
    missing = sorted(info["missing_keys"])
    if absent := set(missing) & set(twins):
        present = next((name for name in twins if name not in absent), None)
        for name in absent if present else ():
            model.get_buffer(name).copy_(model.get_buffer(present))
            missing.remove(name)
    _check_whole(source, architecture, missing, info)
    return model.eval().requires_grad_(False)


def _check_whole(source: Source, architecture: Any, missing: list[str], info: dict[str, Any]) -> None:
    """Raise ExportError for weights that are missing, too many in a file, or of other shapes."""
    whole, said, extra = architecture.__name__, "config.json says", list[str]()
    mismatched = sorted(key for key, *_ in info["mismatched_keys"])
    if isinstance(source, RecognisedFile):
        whole, said, extra = source.layout, "its other weights say", sorted(info["unexpected_keys"])
        missing, extra, mismatched = (source.their_names(names) for names in (missing, extra, mismatched))
    if missing:
        raise ExportError(f"{source}: the checkpoint lacks {_some(missing)}; it is not a complete {whole}")
    if extra:
        raise ExportError(f"{source}: a {whole} of its size has no {_some(extra)}")
    if mismatched:
        raise ExportError(f"{source}: shapes differ from what {said} for {_some(mismatched)}")


def fingerprint(model: Any) -> str:
    """The SHA-256 of a model's configuration and weights, wherever they were loaded from."""
    config = {key: value for key, value in model.config.to_dict().items() if key not in _NOT_THE_MODEL}
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress transformers' progress bars and tables, and the hub's account of its retries.

    The caller reports errors and progress itself.
    """
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_verbosity = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    hub_logging.set_verbosity(logging.ERROR)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        hub_logging.set_verbosity(hub_verbosity)
        if bars:
            logging.enable_progress_bar()


def _cannot_be_had(source: Source, error: Exception) -> str:
    first = str(error).strip().split("\n")[0] or type(error).__name__
    if Path(str(source)).exists():
        return f"cannot be loaded: {first}"
    return f"no such folder, and cannot be downloaded: {first}"


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
