"""EfficientViT-SAM: SAM with EfficientViT for its image encoder. Everything not defined here is that of SAM."""

from typing import Any

from masklet.export.checkpoints.pretrained import Source, configuration, load_weights
from masklet.export.families import sam
from masklet.export.family import ImageSize, square
from masklet.export.modules.efficient_vit import EfficientVitEncoder
from masklet.export.references.efficientvit_sam_model import EfficientVitSamConfig, EfficientVitSamModel
from masklet.runtime.bundle.spec import ModelSpec
from msgspec import structs
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

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a checkpoint. Its neck makes one grid, so image_size must be the checkpoint's size or None."""
        config = configuration(EfficientVitSamConfig, source)
        size = None if image_size is None else square(image_size, self.name)
        sam.check_layout(config, source, size, own_prompts=True)
        return load_weights(EfficientVitSamModel, config, source)

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model."""
        vision, declared = model.config.vision_config, super().spec(model, token_memory)
        prompted = int(model.config.prompt_encoder_config.image_size)
        other = None if prompted == declared.preprocess.side else prompted
        preprocess = structs.replace(declared.preprocess, prompt_side=other)
        size = PUBLISHED.get((*vision.depths, vision.neck_depth), "custom")
        return structs.replace(declared, variant=size, preprocess=preprocess)

    def encoder(self, model: Any, side: int) -> nn.Module:
        """The graph module of the image encoder."""
        return EfficientVitEncoder(model.vision_encoder, side, sam.MEAN, sam.STD)


FAMILY = EfficientVitSam()
