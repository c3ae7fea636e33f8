"""Masks as a palette PNG, as DAVIS has them: a pixel's value is its object's id, 0 where there is none."""

import io
from pathlib import Path

import numpy as np
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.overlay import colour
from masklet.runtime.results import FrameResult

MAX_PALETTE_ID = 255
_PALETTE = [0, 0, 0, *(part for n in range(1, MAX_PALETTE_ID + 1) for part in colour(n))]


def palette_png(result: FrameResult, path: Path) -> bytes:
    """Encode a frame's masks; where they overlap, the object with the higher score has the pixel.

    path: where it is to go, for the message of the SinkError that an object id above 255 raises.
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
