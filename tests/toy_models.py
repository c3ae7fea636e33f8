"""A model small enough to write down: what a bundle of prompted images needs, and no more."""

from masklet.runtime.bundle.spec import ModelSpec, Preprocess, StageSpec, TensorSpec

_FEAT = TensorSpec("vision_feat", (1, 4, 2, 2))
TOY = ModelSpec(
    family="toy",
    variant="one",
    pipeline="image",
    preprocess=Preprocess(side=8, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    stages=(
        StageSpec("image_encoder", (TensorSpec("image", (1, 8, 8, 3), "uint8"),), (_FEAT,)),
        StageSpec(
            "mask_decoder",
            (
                _FEAT,
                TensorSpec("point_coords", ("objects", "points", 2)),
                TensorSpec("point_labels", ("objects", "points"), "int64"),
                TensorSpec("mask_prompt", ("objects", 1, 8, 8)),
            ),
            (TensorSpec("candidate_masks", ("objects", 4, 8, 8)), TensorSpec("candidate_ious", ("objects", 4))),
        ),
    ),
)
