"""Files of MobileSAM in its authors' names (github.com/ChaoningZhang/MobileSAM)."""

from math import isqrt
from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam
from masklet.export.families.layouts.name_tables import names

VIT = "image_encoder"
PATCH, STAGES, SIDE = f"{VIT}.patch_embed.seq.0.c.weight", range(4), 1024  # build_sam.py 47, tiny_vit_sam.py 550


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of a MobileSamModel: its shapes say everything but the size of images, which is fixed."""
    blocks = [f"{VIT}.layers.{stage}.blocks" for stage in STAGES]
    biases = [(0, 0), *(shapes[f"{block}.0.attn.attention_biases"] for block in blocks[1:])]
    dims = [shapes[f"{blocks[0]}.0.conv3.c.weight"][0], *(shapes[f"{b}.0.attn.proj.weight"][0] for b in blocks[1:])]
    vision = {
        "hidden_size": dims[-1],
        "num_hidden_layers": 0,  # of SAM's own ViT
        "use_abs_pos": False,
        "output_channels": shapes[f"{VIT}.neck.0.weight"][0],
        "image_size": SIDE,
        "patch_size": 16,
        "num_pos_feats": shapes[sam.POSITIONS][1],
        "embed_dims": dims,
        "depths": [count(shapes, f"{blocks[0]}.{{}}.conv1.c.weight")]
        + [count(shapes, f"{block}.{{}}.attn.proj.weight") for block in blocks[1:]],
        "heads": [heads for heads, _ in biases],
        "windows": [isqrt(distances) for _, distances in biases],
    }
    return {"model_type": "mobile_sam", "vision_config": vision, **sam.configure_heads(shapes, vision, norm_eps=1e-5)}


LAYOUT = Layout(
    name="mobile-sam", marks=(PATCH, sam.POSITIONS), names=names("mobile_sam") + sam.HEADS, configure=configure
)
