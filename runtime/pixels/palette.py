"""Masks as a palette PNG in the format of DAVIS: the value of a pixel is the id of its object, 0 for background."""

import io
from pathlib import Path

import numpy as np
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.overlay import colour
from masklet.runtime.results import FrameResult

MAX_PALETTE_ID = 255
_PALETTE = [0, 0, 0, *(part for n in range(1, MAX_PALETTE_ID + 1) for part in colour(n))]


def palette_png(result: FrameResult, path: Path) -> bytes:
    """Encode the masks of a frame; where masks overlap, the object with the higher score gets the pixel.

    path: named in the error message. Raises SinkError for an object id above 255.
    """
    from PIL import Image

    too_high = result.object_ids[result.object_ids > MAX_PALETTE_ID]
    if len(too_high):
        raise SinkError(f"{path}: object id {too_high[0]} is above 255, the highest that a PNG can hold")
    ids = np.zeros(result.masks.shape[1:], np.uint8)
    for n in np.argsort(result.scores, kind="stable"):
        ids[result.masks[n]] = result.object_ids[n]
    image = Image.fromarray(ids)
    image.putpalette(_PALETTE)
    encoded = io.BytesIO()
    image.save(encoded, "PNG", compress_level=1)  # few colours: higher levels gain little
    return encoded.getvalue()
