"""The few functions of torchvision that Meta's predictors call, on tensors and PIL images."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image


class ToTensor:
    """An image [H, W, 3] uint8 to [3, H, W] float in 0..1."""

    def __call__(self, image: Any) -> torch.Tensor:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255


class Resize(torch.nn.Module):
    """Bilinear, antialiased, to a fixed size; what has that size stays as it is."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.rows, self.columns = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.shape[-2] == self.rows and x.shape[-1] == self.columns:
            return x
        return F.interpolate(x[None], size=[self.rows, self.columns], mode="bilinear", antialias=True)[0]


class Normalize(torch.nn.Module):
    """Less the mean of each channel, by its deviation."""

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.mean, self.std = torch.tensor(mean)[:, None, None], torch.tensor(std)[:, None, None]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


def to_pil_image(image: Any) -> Image.Image:
    """An array [H, W, 3] uint8 as a PIL image."""
    return Image.fromarray(image)


def resize(image: Any, size: tuple[int, int]) -> Any:
    """A PIL image, or a batch of tensors, at a size (rows, columns)."""
    if isinstance(image, Image.Image):
        return image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return F.interpolate(image, size=size, mode="bilinear", antialias=True)


def box_area(boxes: torch.Tensor) -> torch.Tensor:
    """Areas of boxes [N, 4], left, top, right, bottom."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def batched_nms(boxes: torch.Tensor, scores: torch.Tensor, idxs: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """The boxes that no better one of the same group overlaps by more than a threshold, the best first."""
    kept: list[int] = []
    for index in scores.argsort(descending=True, stable=True).tolist():
        rivals = [other for other in kept if idxs[other] == idxs[index]]
        if not rivals or float(_ious(boxes[index], boxes[rivals]).max()) <= iou_threshold:
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long)


def _ious(box: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    sides = (torch.minimum(box[2:], others[:, 2:]) - torch.maximum(box[:2], others[:, :2])).clamp(min=0)
    shared = sides[:, 0] * sides[:, 1]
    return shared / (box_area(box[None]) + box_area(others) - shared)


PARTS = {part.__name__: part for part in (ToTensor, Resize, Normalize, to_pil_image, resize, box_area, batched_nms)}
