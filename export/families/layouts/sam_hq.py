"""Files of SAM-HQ in its authors' names (github.com/SysCV/sam-hq)."""

from typing import Any

from masklet.export.checkpoints.layout import Layout, Shapes
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.layouts import sam
from masklet.export.families.layouts.name_tables import names


def configure(shapes: Shapes, settings: Settings) -> dict[str, Any]:
    """The configuration of a SamHQModel."""
    config = sam.configure_model(shapes)
    config["mask_decoder_config"]["vit_dim"] = shapes["mask_decoder.compress_vit_feat.0.weight"][0]
    return {"model_type": "sam_hq", **config}


LAYOUT = Layout(
    name="sam-hq",
    marks=(*sam.LAYOUT.marks, "mask_decoder.hf_token.weight"),
    names=names("sam") + names("sam_hq") + sam.HEADS,
    configure=configure,
)
