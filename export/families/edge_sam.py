"""EdgeSAM: SAM with RepViT for its image encoder. Everything not defined here is that of SAM."""

from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.families import sam
from masklet.export.family import ImageSize, square
from masklet.export.modules.edge_repvit import EdgeRepVitEncoder
from masklet.export.references.edge_sam_model import EdgeSamConfig, EdgeSamModel
from masklet.runtime.bundle.spec import ModelSpec
from msgspec import structs
from torch import nn

PUBLISHED = {(48, 384, 26): "repvit-m1"}


class EdgeSam(sam.Sam):
    """The family of EdgeSAM."""

    name = "edge_sam"
    model_types: tuple[str, ...] = ("edge_sam",)

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint. Its decoder's positions are for one size, so image_size must be that size or None."""
        config = configuration(EdgeSamConfig, source)
        sam.check_layout(config, source, None if image_size is None else square(image_size, self.name))
        return load_weights(EdgeSamModel, config, source)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        channels = model.config.vision_config.channels
        size = PUBLISHED.get((channels[0], channels[-1], len(channels)), "custom")
        return structs.replace(super().spec(model, token_memory), variant=size)

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return EdgeRepVitEncoder(model.vision_encoder, side, sam.MEAN, sam.STD)


FAMILY = EdgeSam()
