"""Meta's own SAM 2 (rf-sam-2 on PyPI), for tests that compare with it, and files as its repository writes them."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

INSTALL = "Meta's own SAM 2 is not installed: make test sets it up, or pip install --no-deps -r tests/oracle.txt"
CONFIGS = {"tiny": "t", "small": "s", "base-plus": "b+", "large": "l"}


def require_sam2() -> Any:
    """Meta's package, or a skip that says how to install it."""
    return pytest.importorskip("sam2", reason=INSTALL)


def published_yaml(size: str, version: str = "2.1") -> Path:
    """The YAML of a published size, as the package has it."""
    prefix = "sam2.1" if version == "2.1" else "sam2"
    return Path(require_sam2().__file__).parent / f"configs/{prefix}/{prefix}_hiera_{CONFIGS[size]}.yaml"


def published_model(size: str, version: str = "2.1", device: str = "meta") -> Any:
    """Meta's SAM2VideoPredictor of a published size; on the meta device it has names and shapes but no weights."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    described = OmegaConf.load(published_yaml(size, version)).model
    described["_target_"] = "sam2.sam2_video_predictor.SAM2VideoPredictor"
    with torch.device(device), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return instantiate(described).eval()
