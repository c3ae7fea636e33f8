"""EfficientViT-SAM: SAM with EfficientViT for its image encoder. Everything not defined here is that of SAM."""

from typing import Any

from masklet.export.checkpoints.pretrained import Source
from masklet.export.families import sam
from masklet.export.modules.efficient_vit import EfficientVitEncoder
from masklet.export.references.efficientvit_sam_model import EfficientVitSamConfig, EfficientVitSamModel
from torch import nn

PUBLISHED = {  # (depths, those of the neck last): name, as in sam.py 581-720
    (1, 1, 1, 4, 4, 4): "l0",
    (1, 1, 1, 6, 6, 8): "l1",
    (1, 2, 2, 8, 8, 12): "l2",
    (0, 1, 1, 2, 3, 3, 6): "xl0",
    (1, 2, 2, 4, 6, 6, 12): "xl1",
}


class EfficientVitSam(sam.Sam):
    """The family of EfficientViT-SAM. L0 to L2 see images of 512 px, and are prompted as SAM is, in 1024 px."""

    name = "efficientvit_sam"
    model_types: tuple[str, ...] = ("efficientvit_sam",)
    own_prompts = True

    def architecture(self, source: Source) -> tuple[Any, Any]:
        """The classes of a checkpoint's configuration and of its model."""
        return EfficientVitSamConfig, EfficientVitSamModel

    def variant(self, config: Any) -> str:
        """What a published size is called; "custom" for others."""
        return PUBLISHED.get((*config.vision_config.depths, config.vision_config.neck_depth), "custom")

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return EfficientVitEncoder(model.vision_encoder, side, sam.MEAN, sam.STD)


FAMILY = EfficientVitSam()
