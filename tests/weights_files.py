"""Files of weights in their authors' names, written from models of transformers."""

from pathlib import Path
from typing import Any

import torch
from masklet.export.checkpoints.layout import Layout
from masklet.export.known_families import find_layouts


def layout(name: str) -> Layout:
    """A layout by its name."""
    return next(found for found in find_layouts() if found.name == name)


def their_weights(name: str, model: Any) -> dict[str, torch.Tensor]:
    """The weights of a model under the names of a layout."""
    return {key: value.contiguous() for key, value in layout(name).names.backward(model.state_dict()).items()}


def write_file(path: Path, weights: dict[str, torch.Tensor], **beside: Any) -> Path:
    """Write weights as Meta's repositories do, below "model". beside: what else a training checkpoint holds."""
    torch.save({"model": weights, **beside}, path)
    return path


NANO_YAML = """
model:
  image_size: {side}
  image_encoder:
    trunk:
      embed_dim: 24
      num_heads: 1
      stages: [1, 1, 3, 1]
      global_att_blocks: [3]
      window_spec: [8, 8, 8, 8]
      window_pos_embed_bkg_spatial_size: [7, 7]
    neck:
      d_model: 128
  memory_attention:
    d_model: 128
    num_layers: 2
  num_maskmem: 7
"""


def write_nano_yaml(path: Path, side: int = 128) -> Path:
    """The YAML of the small SAM 2 that tests draw and the project trains."""
    path.write_text(NANO_YAML.format(side=side))
    return path
