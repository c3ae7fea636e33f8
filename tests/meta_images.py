"""Meta's image predictors and mask generators behind one interface. Images have the model's own size."""

from typing import Any

import numpy as np
from masklet.runtime.prompts.prompts import Box, Points
from masklet.runtime.segmentation.everything import EverythingOptions
from numpy.typing import NDArray
from torchvision_stub import import_with_torchvision


class MetaImages:
    """A SAM2ImagePredictor, SamPredictor, or SAM-HQ's.

    model: Meta's model, as `meta_predictor` and `meta_sam` make it.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        if hasattr(model, "sam_mask_decoder"):
            self._package = import_with_torchvision("sam2.sam2_image_predictor")
            self._predictor = self._package.SAM2ImagePredictor(model)
            edge = model.image_size // 16
            self._predictor._bb_feat_sizes = [(4 * edge,) * 2, (2 * edge,) * 2, (edge,) * 2]
        else:
            self._package = import_with_torchvision(type(model).__module__.partition(".")[0])
            self._predictor = self._package.SamPredictor(model)

    @property
    def best_alone(self) -> bool:
        """Whether the decoder returns the best of its three masks alone, as SAM-HQ's does."""
        return hasattr(self._model.mask_decoder, "hf_token") if hasattr(self._model, "mask_decoder") else False

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
        if hasattr(self._model, "sam_mask_decoder"):
            made = import_with_torchvision("sam2.automatic_mask_generator").SAM2AutomaticMaskGenerator
        else:
            made = self._package.SamAutomaticMaskGenerator
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
