"""Masks as one image of object ids."""

import numpy as np
import numpy.typing as npt
from masklet.runtime.results import FrameResult

MOST_ID = 65535  # that the image can hold


def id_image(result: FrameResult) -> npt.NDArray[np.uint16]:
    """[H, W] uint16, the id of the object that has each pixel, 0 where none has it, or its id is too high.

    Where masks overlap, the object with the higher score gets the pixel.
    """
    ids = np.zeros(result.masks.shape[1:], np.uint16)
    for row in np.argsort(result.scores, kind="stable"):
        ids[result.masks[row]] = result.object_ids[row] if result.object_ids[row] <= MOST_ID else 0
    return ids
