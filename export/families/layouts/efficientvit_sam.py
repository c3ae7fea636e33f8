"""Files of EfficientViT-SAM in its authors' names (github.com/mit-han-lab/efficientvit)."""

from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes, count
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam
from masklet.export.families.layouts.name_tables import names

VIT = "image_encoder"
STAGE, NECK = VIT + ".backbone.stages.{}.op_list.", VIT + ".neck.middle.op_list.{}.main.spatial_conv.conv.weight"
DOWN = STAGE + "0.main.point_conv.conv.weight"
LATERAL, OUT = f"{VIT}.neck.input_ops.0.op_list.0.conv.weight", f"{VIT}.neck.output_ops.0.op_list.0.conv.weight"
ATTENTION = STAGE + "1.context_module.main.aggreg.0"
GRID = 64  # of the map that prompts are decoded on (sam.py 120, 562)


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of an EfficientVitSamModel. The third last stage has the grid's size, so that stages say how
    large the image is; prompts are given in 16 pixels a cell, whatever it is."""
    stages = 6 if DOWN.format(5) in shapes else 5
    rows = [_stem(shapes, STAGE.format(0)), *(_stage(shapes, STAGE.format(stage)) for stage in range(1, stages))]
    dims, depths, kinds, expands = (list(column) for column in zip(*rows, strict=True))
    side, width = GRID << (stages - 2), shapes[LATERAL][0]
    attention = ATTENTION.format(stages - 1)
    vision = {
        "hidden_size": dims[-1],
        "num_hidden_layers": 0,  # of SAM's own ViT
        "use_abs_pos": False,
        "output_channels": shapes[OUT][0],
        "image_size": side,
        "patch_size": side // GRID,
        "num_pos_feats": shapes[sam.POSITIONS][1],
        "embed_dims": dims,
        "depths": depths,
        "kinds": kinds,
        "expands": expands,
        "kernel": shapes[f"{attention}.0.weight"][2],
        "head_dim": shapes[f"{attention}.1.weight"][1],
        "neck_width": width,
        "neck_depth": count(shapes, NECK),
        "neck_expand": shapes[NECK.format(0)][0] // width,
    }
    heads = sam.configure_heads(shapes, {"image_size": 16 * GRID, "patch_size": 16})
    return {"model_type": "efficientvit_sam", "vision_config": vision, **heads}


def _stem(shapes: Shapes, blocks: str) -> tuple[int, int, str, int]:
    """Of the first stage what `_stage` says of the others: behind the stem, blocks that widen nothing."""
    return shapes[f"{blocks}0.conv.weight"][0], count(shapes, blocks + "{}.main.conv1.conv.weight", first=1), "res", 1


def _stage(shapes: Shapes, blocks: str) -> tuple[int, int, str, int]:
    """Channels, blocks behind the first, their kind and how much they widen; the first widens four times as much."""
    kinds = {"att": "{}.context_module.main.qkv", "fmb": "{}.main.spatial_conv", "mb": "{}.main.inverted_conv"}
    names = {kind: f"{blocks}{name}.conv.weight" for kind, name in kinds.items()}
    kind = next((kind for kind in ("att", "fmb") if names[kind].format(1) in shapes), "mb")
    wide, channels, *_ = shapes[names["fmb" if kind == "fmb" else "mb"].format(0)]
    dim = shapes[f"{blocks}0.main.point_conv.conv.weight"][0]
    return dim, count(shapes, names[kind], first=1), kind, wide // channels // 4


LAYOUT = Layout(
    name="efficientvit-sam",
    marks=(LATERAL, sam.POSITIONS),
    names=names("efficientvit_sam") + sam.HEADS,
    configure=configure,
)
