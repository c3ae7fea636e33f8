"""Choice among the decoder's candidates: the single mask, or one or all of the three masks for ambiguous prompts."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from masklet.runtime.bundle.spec import PromptPolicy
from masklet.runtime.pixels.geometry import F32, BoolArray

MaskChoice = Literal["auto", "single", "best", "all"]
CHOICES: tuple[str, ...] = get_args(MaskChoice)


def choose(masks: F32, ious: F32, kinds: Sequence[MaskChoice], policy: PromptPolicy) -> tuple[F32, F32]:
    """Choose the masks of each prompt from its candidates.

    masks: [N, 4, h, w] logits: the single mask, then the three.
    ious:  [N, 4], predicted IoU of each.
    kinds: choice for each prompt; "all" must be given for every prompt or for none.
    Returns (masks [N, K, h, w], IoUs [N, K]).
    """
    if kinds[0] == "all":
        return masks[:, 1:], ious[:, 1:]
    best = ious[:, 1:].argmax(axis=1) + 1
    single = np.where(_unstable(masks[:, 0], policy), best, 0)
    taken = np.where([kind == "best" for kind in kinds], best, single)
    rows = np.arange(len(taken))
    return masks[rows, taken][:, None], ious[rows, taken][:, None]


def _unstable(single: F32, policy: PromptPolicy) -> BoolArray:
    """Whether the best of three masks replaces the single mask, [N] (mask_decoder.py 149-190)."""
    inner, outer = ((single > edge).sum(axis=(1, 2)) for edge in (policy.stability_delta, -policy.stability_delta))
    stability = np.where(outer > 0, inner / np.maximum(outer, 1), 1.0)
    unstable: BoolArray = stability < policy.stability_threshold
    return unstable
