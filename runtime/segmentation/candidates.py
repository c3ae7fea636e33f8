"""The decoder's candidates: one mask for prompts that are clear, three for those that are not, and which is taken."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from masklet.runtime.bundle.spec import PromptPolicy
from masklet.runtime.pixels.geometry import F32, BoolArray

Choice = Literal["auto", "single", "best", "all"]


def choose(masks: F32, ious: F32, kinds: Sequence[Choice], policy: PromptPolicy) -> tuple[F32, F32]:
    """Take each prompt's masks from its candidates.

    masks: [N, 4, h, w] logits, ious: [N, 4]; the single mask first. kinds: "all" for every prompt or for none.
    Returns ([N, K, h, w], [N, K]).
    """
    if kinds[0] == "all":
        return masks[:, 1:], ious[:, 1:]
    best = ious[:, 1:].argmax(axis=1) + 1
    single = np.where(_unstable(masks[:, 0], policy), best, 0)
    taken = np.where([kind == "best" for kind in kinds], best, single)
    rows = np.arange(len(taken))
    return masks[rows, taken][:, None], ious[rows, taken][:, None]


def _unstable(single: F32, policy: PromptPolicy) -> BoolArray:
    """Where the single mask gives way to the best of three (mask_decoder.py 149-190)."""
    inner, outer = ((single > edge).sum(axis=(1, 2)) for edge in (policy.stability_delta, -policy.stability_delta))
    stability = np.where(outer > 0, inner / np.maximum(outer, 1), 1.0)
    unstable: BoolArray = stability < policy.stability_threshold
    return unstable
