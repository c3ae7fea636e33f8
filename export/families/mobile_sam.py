"""MobileSAM: SAM with TinyViT for its image encoder. Everything not defined here is that of SAM."""

from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.families import sam
from masklet.export.family import ImageSize, square
from masklet.export.modules.tiny_vit import TinyViTEncoder
from masklet.export.references.mobile_sam_model import MobileSamConfig, MobileSamModel
from masklet.runtime.bundle.spec import ModelSpec
from msgspec import structs
from torch import nn

PUBLISHED = {(64, 128, 160, 320): "tiny-vit"}


class MobileSam(sam.Sam):
    """The family of MobileSAM."""

    name = "mobile_sam"
    model_types: tuple[str, ...] = ("mobile_sam",)

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint. Its decoder's positions are for one size, so image_size must be that size or None."""
        config = configuration(MobileSamConfig, source)
        sam.check_layout(config, source, None if image_size is None else square(image_size, self.name))
        return load_weights(MobileSamModel, config, source)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        size = PUBLISHED.get(tuple(model.config.vision_config.embed_dims), "custom")
        return structs.replace(super().spec(model, token_memory), variant=size)

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return TinyViTEncoder(model.vision_encoder, side, sam.MEAN, sam.STD)


FAMILY = MobileSam()
