"""MobileSAM: SAM with TinyViT for its image encoder. Everything not defined here is that of SAM."""

from typing import Any

from masklet.export.checkpoints.pretrained import Source
from masklet.export.families import sam
from masklet.export.modules.tiny_vit import TinyViTEncoder
from masklet.export.references.mobile_sam_model import MobileSamConfig, MobileSamModel
from torch import nn

PUBLISHED = {(64, 128, 160, 320): "tiny-vit"}


class MobileSam(sam.Sam):
    """The family of MobileSAM."""

    name = "mobile_sam"
    model_types: tuple[str, ...] = ("mobile_sam",)

    def architecture(self, source: Source) -> tuple[Any, Any]:
        """The classes of a checkpoint's configuration and of its model."""
        return MobileSamConfig, MobileSamModel

    def variant(self, config: Any) -> str:
        """What a published size is called; "custom" for others."""
        return PUBLISHED.get(tuple(config.vision_config.embed_dims), "custom")

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return TinyViTEncoder(model.vision_encoder, side, sam.MEAN, sam.STD)


FAMILY = MobileSam()
