"""Meta's image predictors and mask generators behind one interface. Images have the model's own size."""

from typing import Any

import numpy as np
from apart import SAM, SAM2, SAM_HQ, Package
from masklet.runtime.prompts.prompts import Box, Points
from masklet.runtime.segmentation.everything import EverythingOptions
from numpy.typing import NDArray


class MetaImages:
    """A SAM2ImagePredictor, SamPredictor, or SAM-HQ's.

    model: Meta's model, as `meta_predictor` and `meta_sam` make it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        if self._package is SAM2:
            self._predictor = SAM2("sam2_image_predictor").SAM2ImagePredictor(model)
            edge = model.image_size // 16
            self._predictor._bb_feat_sizes = [(4 * edge,) * 2, (2 * edge,) * 2, (edge,) * 2]
        else:
            self._predictor = self._package("predictor").SamPredictor(model)

    @property
    def _package(self) -> Package:
        name = type(self._model).__module__.partition(".")[0]
        return {"sam2": SAM2, "segment_anything": SAM, "segment_anything_hq": SAM_HQ}[name]

    @property
    def best_alone(self) -> bool:
        """Whether the decoder returns the best of its three masks alone, as SAM-HQ's does."""
        return self._package is SAM_HQ

    def set_image(self, image: NDArray[np.uint8]) -> None:
        self._predictor.set_image(image)

    def predict(self, prompt: Points | Box, *, several: bool, earlier: Any = None) -> tuple[Any, Any, Any]:
        """Masks [K, H, W] bool, their predicted IoUs [K] and logits [K, h, w]; three masks where several are asked for.

        earlier: logits [1, h, w] of an earlier prediction.
        """
        points = prompt.points if isinstance(prompt, Box) else prompt
        masks, ious, logits = self._predictor.predict(
            point_coords=None if points is None else points.xy.copy(),
            point_labels=None if points is None else points.labels.copy(),
            box=np.array([prompt.x0, prompt.y0, prompt.x1, prompt.y1]) if isinstance(prompt, Box) else None,
            mask_input=earlier,
            multimask_output=several,
        )
        return masks > 0, ious, logits

    def everything(self, image: NDArray[np.uint8], options: EverythingOptions) -> NDArray[np.bool_]:
        """Every mask of an image, [N, H, W] bool, the best first."""
        made = self._package("automatic_mask_generator")
        made = made.SAM2AutomaticMaskGenerator if self._package is SAM2 else made.SamAutomaticMaskGenerator
        generator = made(
            self._model,
            points_per_side=options.points_per_side,
            points_per_batch=options.points_per_batch,
            pred_iou_thresh=options.min_predicted_iou,
            stability_score_thresh=options.min_stability,
            stability_score_offset=options.stability_offset,
            box_nms_thresh=options.box_overlap,
            crop_n_layers=options.crop_layers,
        )
        generator.predictor = self._predictor
        found = sorted(generator.generate(image), key=lambda mask: -mask["predicted_iou"])
        return np.stack([mask["segmentation"] for mask in found])
