"""Writes a model repository: a folder per model, in it config.pbtxt and a folder per version with the graph."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.served_model import ServedModel, served_name
from masklet.runtime.errors import BundleError
from masklet.runtime.serving.image_path import PART, VERSION, has_image_path, image_config
from masklet.runtime.serving.model_config import ServerOptions, stage_config

CONFIG = "config.pbtxt"


def write_repository(
    bundle: Bundle,
    root: Path,
    options: ServerOptions,
    *,
    engine: str = "onnxruntime",
    served_as: str | None = None,
    replace: bool = False,
) -> list[str]:
    """Write every stage, and the image path if the model has one. Returns the names of the models.

    engine:    "onnxruntime" for graphs, "tensorrt" for the engines of `masklet build`.
    served_as: what the names begin with, see `served_name`.
    replace:   replace models of these names; other models in the folder are never touched.
    Files are linked where the file system can, otherwise copied. Raises BundleError if the bundle lacks an engine, a
    model exists, or the folder cannot be written; then none of the models is written.
    """
    artifacts = {stage.name: _artifact(bundle, stage.name, engine, options) for stage in bundle.model.stages}
    served = {stage: ServedModel.of(bundle.model, artifact, served_as) for stage, artifact in artifacts.items()}
    image = served_name(bundle.model, PART, served_as)
    names = [model.name for model in served.values()] + ([image] if has_image_path(bundle.model) else [])
    _check_absent(root, names, replace)
    with _beside(root) as fresh:
        for stage in bundle.model.stages:
            model, artifact = served[stage.name], artifacts[stage.name]
            config = stage_config(stage, artifact, model, bundle.model.memory, options)
            version = _model_folder(fresh / model.name, config, model.version)
            for file in artifact.files:
                _put(bundle.root / file.path, version)
        if image in names:
            _model_folder(fresh / image, image_config(image, bundle.model, served), VERSION)
        root.mkdir(exist_ok=True)
        for name in names:
            shutil.rmtree(root / name, ignore_errors=True)
            (fresh / name).rename(root / name)
    return names


def _artifact(bundle: Bundle, stage: str, engine: str, options: ServerOptions) -> Artifact:
    """The engine of a stage, or its graph: with fused operators for the CPU, with standard ones otherwise."""
    if engine == "tensorrt":
        return bundle.artifact(stage, ("tensorrt",))
    return bundle.artifact(stage, ("onnx-ort", "onnx") if options.device == "cpu" else ("onnx",))


def _check_absent(root: Path, names: list[str], replace: bool) -> None:
    if not root.parent.is_dir():
        raise BundleError(f"{root}: the folder {root.parent} does not exist")
    if root.exists() and not root.is_dir():
        raise BundleError(f"{root}: is a file; wanted a folder for the model repository")
    for name in names:
        if (root / name).exists() and not replace:
            raise BundleError(f"{root}: has a model {name} already; --force replaces it, --name gives another name")


@contextmanager
def _beside(root: Path) -> Iterator[Path]:
    """A folder beside the repository, where a running server does not look; it is removed at the end."""
    try:
        fresh = Path(tempfile.mkdtemp(prefix=f".{root.name}.", suffix=".tmp", dir=root.parent))
        try:
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    except OSError as error:
        raise BundleError(f"{root}: cannot be written: {error.strerror or error}") from None


def _model_folder(folder: Path, config: str, version: str) -> Path:
    """Write a model's folder and return that of its version."""
    (folder / version).mkdir(parents=True)
    (folder / CONFIG).write_text(config)
    return folder / version


def _put(file: Path, folder: Path) -> None:
    shutil.copyfile(file, folder / file.name)  # not linked: onnx refuses weights with several links
