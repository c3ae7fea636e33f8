"""Checkpoints and bundles that several tests share; a session makes each once."""

from pathlib import Path

import pytest
from checkpoints import nano_config, random_model, save_checkpoint
from sam_checkpoints import random_sam, sam_config


@pytest.fixture(scope="session")
def nano_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM 2.1 of nano size for 128 px, as a folder."""
    return save_checkpoint(random_model(nano_config()), tmp_path_factory.mktemp("nano") / "checkpoint")


@pytest.fixture(scope="session")
def nano_bundle(nano_checkpoint: Path) -> Path:
    """The bundle of `nano_checkpoint`."""
    from masklet.export.pipeline import export_bundle

    bundle = nano_checkpoint.parent / "nano.bundle"
    export_bundle(str(nano_checkpoint), bundle)
    return bundle


@pytest.fixture(scope="session")
def sam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM of nano size for 128 px, as a folder."""
    return save_checkpoint(random_sam(sam_config()), tmp_path_factory.mktemp("sam") / "checkpoint")


@pytest.fixture(scope="session")
def sam_bundle(sam_checkpoint: Path) -> Path:
    """The bundle of `sam_checkpoint`."""
    from masklet.export.pipeline import export_bundle

    bundle = sam_checkpoint.parent / "sam.bundle"
    export_bundle(str(sam_checkpoint), bundle)
    return bundle
