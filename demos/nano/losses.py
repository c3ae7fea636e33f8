"""What the masks, their predicted IoU and the object score are taught with."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from view import Decoded, Features, View

FOCAL, DICE, BALANCED, QUALITY = 5.0, 1.0, 0.5, 0.5


def coarse_truth(masks: Tensor) -> Tensor:
    """Share of each 4x4 cell that a mask [B, S, S] covers: the truth on the grid of logits, [B, S/4, S/4]."""
    return F.avg_pool2d(masks.float()[:, None], 4)[:, 0]


def mask_losses(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and IoU [B, M] of M masks per object: logits [B, M, G, G] against truth [B, G, G].

    Focal and dice as in SAM (section 3), and a cross-entropy that weighs inside and outside alike, without
    which small objects start too slowly.
    """
    target = truth[:, None]
    entropy = F.softplus(logits) - logits * target
    chance = torch.sigmoid(logits)
    right = chance * target + (1 - chance) * (1 - target)
    focal = ((1 - right) ** 2 * entropy).mean((2, 3))
    share = target.mean((2, 3), keepdim=True).clamp(0.01, 0.99)
    balanced = (entropy * (target / share + (1 - target) / (1 - share)) * 0.5).mean((2, 3))
    overlap = (chance * target).sum((2, 3))
    dice = 1 - (2 * overlap + 1) / (chance.sum((2, 3)) + target.sum((2, 3)) + 1)
    with torch.no_grad():
        found, true = logits > 0, target > 0.5
        both, either = (found & true).sum((2, 3)).float(), (found | true).sum((2, 3)).float()
        iou = torch.where(either > 0, both / either.clamp(min=1), torch.ones_like(either))
    return FOCAL * focal + DICE * dice + BALANCED * balanced, iou


def decoded_loss(decoded: Decoded, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Loss over all four masks and the IoU of the one that inference would pick; both means over B.

    Half of a multimask loss goes to the best of three, half to all, so that none is left behind.
    weight: [B], 0 for objects that do not count.
    """
    loss, iou = mask_losses(decoded.logits, truth)
    masks = 0.5 * loss[:, 1:].min(dim=1).values + 0.5 * loss[:, 1:].mean(dim=1) + 0.5 * loss[:, 0]
    quality = (decoded.quality - iou).abs().mean(dim=1)
    count = weight.sum().clamp(min=1)
    with torch.no_grad():
        pick = 1 + decoded.quality[:, 1:].argmax(dim=1, keepdim=True)
        chosen = (iou.gather(1, pick)[:, 0] * weight).sum() / count
    return ((masks + QUALITY * quality) * weight).sum() / count, chosen


def presence_loss(scores: Tensor, present: Tensor) -> Tensor:
    """Cross-entropy of object scores, [K] each, that gives present and absent frames the same say."""
    each = F.binary_cross_entropy_with_logits(scores, present, reduction="none")
    there = (each * present).sum() / present.sum().clamp(min=1)
    gone = (each * (1 - present)).sum() / (1 - present).sum().clamp(min=1)
    return 0.5 * (there + gone)


def tame(coarse: Tensor) -> Tensor:
    """Penalty on coarse features that outgrow the unit-length Fourier codes: clicks would be ignored."""
    return 0.05 * F.relu(coarse.pow(2).mean() - 0.3)


class Grouping(nn.Module):
    """An auxiliary teacher for the encoder: pixels of one object should resemble their own mean.

    It needs no click, so the encoder learns what an object is before the decoder listens to prompts. Its
    few parameters are thrown away after training.
    """

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(hidden // 8, 16, 1)
        self.bias = nn.Parameter(torch.tensor(0.0))
        self.sharpness = nn.Parameter(torch.tensor(2.0))

    def forward(self, view: View, features: Features, owner: Tensor, truth: Tensor) -> Tensor:
        """Mean loss over objects; features of N images, owner and truth of B objects."""
        decoder = view.model.mask_decoder
        raised = decoder.upscale_conv1(features.coarse) + features.middle
        raised = decoder.activation(decoder.upscale_layer_norm(raised))
        raised = decoder.activation(decoder.upscale_conv2(raised) + features.fine)
        pixels = F.normalize(self.project(raised), dim=1)[owner]
        mean = F.normalize((pixels * truth[:, None]).sum((2, 3)), dim=1)
        alike = (pixels * mean[:, :, None, None]).sum(dim=1, keepdim=True)
        logits = self.sharpness.exp() * (alike - 0.6) + self.bias
        return mask_losses(logits, truth)[0].mean()
