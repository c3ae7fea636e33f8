"""EdgeSAM: SAM with RepViT for its image encoder. Everything not defined here is that of SAM."""

from typing import Any

from masklet.export.checkpoints.pretrained import Source
from masklet.export.families import sam
from masklet.export.modules.edge_repvit import EdgeRepVitEncoder
from masklet.export.references.edge_sam_model import EdgeSamConfig, EdgeSamModel
from torch import nn

PUBLISHED = {(48, 384, 26): "repvit-m1"}  # channels of the first and the last block, and how many there are


class EdgeSam(sam.Sam):
    """The family of EdgeSAM."""

    name = "edge_sam"
    model_types: tuple[str, ...] = ("edge_sam",)

    def architecture(self, source: Source) -> tuple[Any, Any]:
        """The classes of a checkpoint's configuration and of its model."""
        return EdgeSamConfig, EdgeSamModel

    def variant(self, config: Any) -> str:
        """What a published size is called; "custom" for others."""
        channels = config.vision_config.channels
        return PUBLISHED.get((channels[0], channels[-1], len(channels)), "custom")

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return EdgeRepVitEncoder(model.vision_encoder, side, sam.MEAN, sam.STD)


FAMILY = EdgeSam()
