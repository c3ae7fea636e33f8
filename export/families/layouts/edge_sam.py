"""Files of EdgeSAM in its authors' names (github.com/chongzhou96/EdgeSAM)."""

from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam
from masklet.export.families.layouts.name_tables import names

FUSED, SIDE = "image_encoder.fuse_stage2.weight", 1024  # build_sam.py 18
BLOCK, SQUEEZE = (
    "image_encoder.features.{}.channel_mixer.m.2.c.weight",
    "image_encoder.features.{}.token_mixer.1.fc1.bias",
)


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of an EdgeSamModel: its shapes say everything but the size of images, which is fixed."""
    blocks = range(1, 1 + count(shapes, BLOCK, first=1))
    channels = [shapes[BLOCK.format(block)][0] for block in blocks]
    vision = {
        "hidden_size": shapes["image_encoder.fuse_stage3.op_list.0.weight"][1],
        "num_hidden_layers": 0,  # of SAM's own ViT
        "use_abs_pos": False,
        "output_channels": shapes[FUSED][0],
        "image_size": SIDE,
        "patch_size": 16,
        "num_pos_feats": shapes[sam.POSITIONS][1],
        "channels": channels,
        "squeezed": [shapes.get(SQUEEZE.format(block), (0,))[0] for block in blocks],
    }
    return {"model_type": "edge_sam", "vision_config": vision, **sam.configure_heads(shapes, vision, norm_eps=1e-5)}


LAYOUT = Layout(
    name="edge-sam",
    marks=(FUSED, BLOCK.format(1), sam.POSITIONS),
    names=names("edge_sam") + sam.HEADS,
    configure=configure,
)
