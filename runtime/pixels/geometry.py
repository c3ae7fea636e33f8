"""Maps prompts and frames from source pixels to model pixels, and masks back.

Source pixels are those of the frames that a source delivers; model pixels are those of the model's input, a square with
edge `side`, or of height and width `side`. SAM 2 stretches a frame to it, so the two axes have different scales; SAM
(2023) fits the longest side and leaves the rest of the square empty (`content_hw` gives the covered part).
Coordinates are continuous: x right, y down, pixel (0, 0) spans 0..1.
"""

from math import gcd

import cv2
import numpy as np
import numpy.typing as npt
from masklet.runtime.pixels.resizer import Fit as Fit
from masklet.runtime.pixels.resizer import Resizer as Resizer
from masklet.runtime.pixels.resizer import Side as Side
from masklet.runtime.pixels.resizer import content_hw as content_hw
from masklet.runtime.pixels.resizer import input_hw as input_hw

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

HOLE_SCORE = 0.1  # score of a filled hole (sam2 misc.py, fill_holes_in_mask_scores)
OVERLAP_SCORE = -10.0  # maximum score of an object at pixels where another one scores more (sam2_base.py 891)


def to_model_points(points_xy: F32, source_hw: tuple[int, int], side: Side, fit: Fit = "stretch") -> F32:
    """Map points from source pixels to model pixels (sam2_video_predictor.py, add_new_points_or_box).

    points_xy: [N, 2] float32, source pixels.
    source_hw: height and width of the frame in source pixels.
    side:      of the model input in pixels.
    Returns [N, 2] float32, model pixels. Divides before it multiplies, as the reference does.
    """
    height, width = source_hw
    rows, columns = content_hw(source_hw, side, fit)
    scaled: F32 = np.divide(points_xy, np.array([width, height], np.float32)) * np.array([columns, rows], np.float32)
    return scaled


def resize_mask(mask: BoolArray, side: Side, fit: Fit = "stretch") -> U8:
    """Resize a mask prompt to the model's input: antialiased bilinear, then >= 0.5 (sam2_video_predictor.py 323).

    mask: [H, W] bool, source pixels. Returns [height, width] uint8 of the model's input, 0 or 1; a mask of that size is
    returned unchanged.
    """
    from PIL import Image

    if mask.shape == input_hw(side):
        return mask.astype(np.uint8)
    rows, columns = content_hw((mask.shape[0], mask.shape[1]), side, fit)
    grey = Image.fromarray(mask.astype(np.float32)).resize((columns, rows), Image.Resampling.BILINEAR)
    square = np.zeros(input_hw(side), np.uint8)
    square[:rows, :columns] = np.asarray(grey) >= 0.5
    return square


def masks_to_source(logits: F32, source_hw: tuple[int, int], *, non_overlapping: bool = False) -> BoolArray:
    """Enlarge masks to source pixels: bilinear, corners not aligned, then > 0 (sam2_video_predictor.py 385).

    logits:          [N, h, w] float32 mask scores.
    source_hw:       height and width of the frame in source pixels.
    non_overlapping: give each pixel to the object with the highest score there.
    Returns [N, H, W] bool.
    """
    height, width = source_hw
    if non_overlapping and len(logits) > 1:
        scores = np.stack([_upsample(logit, source_hw) for logit in logits])
        winner: BoolArray = np.argmax(scores, axis=0) == np.arange(len(logits))[:, None, None]
        return winner & (scores > 0)
    masks = np.zeros((len(logits), height, width), np.bool_)
    for logit, mask in zip(logits, masks, strict=True):
        draw_mask(logit, mask)
    return masks


def draw_mask(logit: F32, mask: BoolArray) -> tuple[int, int, int, int]:
    """Enlarge logits [h, w] into an empty mask [H, W], which is set where they are > 0 (see `masks_to_source`).

    Only the part around the foreground is enlarged. Returns the box of the mask as `tight_box` does.
    """
    x, y, columns, rows = cv2.boundingRect((logit > 0).view(np.uint8))
    if not columns:
        return 0, 0, 0, 0
    low, high = aligned_parts((x, y, x + columns, y + rows), logit.shape, mask.shape)
    return draw_part(logit[low], high, mask)


def draw_part(logit: F32, part: tuple[slice, slice], mask: BoolArray) -> tuple[int, int, int, int]:
    """Enlarge logits into a part of an empty mask [H, W], which is set where they are > 0. Returns the mask's box."""
    region = mask[part]
    np.greater(_upsample(logit, region.shape), 0, out=region)
    rows, columns = part
    return tight_box(mask, (columns.start, rows.start, columns.stop, rows.stop))


def aligned_parts(
    box: tuple[int, int, int, int], low_hw: tuple[int, ...], high_hw: tuple[int, ...]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of a small map that a foreground box depends on, and the same part of the large map: (rows, columns).

    Enlarging the part alone gives the same values as enlarging the whole map.
    box: left, top, right, bottom; right and bottom exclusive.
    """
    left, top, right, bottom = box
    low_y, high_y = _aligned(top, bottom, low_hw[0], high_hw[0])
    low_x, high_x = _aligned(left, right, low_hw[1], high_hw[1])
    return (low_y, low_x), (high_y, high_x)


def logits_to_source(logits: F32, source_hw: tuple[int, int], side: Side, fit: Fit = "stretch") -> F32:
    """Mask logits in source pixels, bilinear with corners not aligned.

    logits: [..., h, w] float32, of the whole input; `side` is a multiple of h and w. If the frame covers only a part
            of the square, logits are first enlarged to `side` and cropped (segment_anything, Sam.postprocess_masks).
    Returns [..., H, W] float32.
    """
    flat = logits.reshape(-1, *logits.shape[-2:])
    whole = np.empty((len(flat), *source_hw), np.float32)
    covered = content_hw(source_hw, side, fit)
    for low, high in zip(flat, whole, strict=True):
        high[:] = _upsample(low if fit == "stretch" else _content(low, covered, max(input_hw(side))), source_hw)
    return whole.reshape(*logits.shape[:-2], *source_hw)


def _content(logit: F32, covered: tuple[int, int], side: int) -> F32:
    """The covered part of a map [h, w] at the size of the model input; one cell beyond the edge is enlarged as well."""
    factor = side // logit.shape[0]
    rows, columns = (min(length // factor + 2, low) for length, low in zip(covered, logit.shape, strict=True))
    return _upsample(logit[:rows, :columns], (rows * factor, columns * factor))[: covered[0], : covered[1]]


def _upsample(logit: F32, hw: tuple[int, ...]) -> F32:
    return np.asarray(cv2.resize(logit, (hw[1], hw[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _aligned(first: int, last: int, low: int, high: int) -> tuple[slice, slice]:
    """The part of an axis that can be enlarged alone with the same result: it ends where cell edges of both grids meet.

    first, last: foreground on an axis of `low` pixels that becomes `high` pixels. The part extends one pixel beyond the
    foreground, so that its border is background in both cases.
    """
    meet = low // gcd(low, high)
    start = max(0, first - 1) // meet * meet
    stop = min(low, -(-(last + 1) // meet) * meet)
    return slice(start, stop), slice(start * high // low, stop * high // low)


def fill_holes(logits: F32, max_area: int = 8) -> F32:
    """Fill small holes: 8-connected background (<= 0) of at most max_area pixels gets the score 0.1.

    logits: [..., h, w] float32, not changed. Returns the same shape (misc.py, fill_holes_in_mask_scores).
    """
    filled = np.array(logits, np.float32, order="C")
    for scores in filled.reshape(-1, *filled.shape[-2:]):
        close_holes(scores, max_area)
    return filled


def close_holes(scores: F32, max_area: int) -> None:
    """Like `fill_holes`, on one map [h, w] and in place."""
    window = _hole_window(scores, max_area + 1)
    background = (window <= 0).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(background, connectivity=8, ltype=cv2.CV_32S)
    small = stats[:, cv2.CC_STAT_AREA] <= max_area
    small[0] = False  # label 0 is the foreground
    if small.any():
        window[small[labels]] = HOLE_SCORE


def _hole_window(scores: F32, margin: int) -> F32:
    """A view of the part that can contain a hole of fewer than `margin` pixels.

    Background farther than `margin` from all foreground belongs to a component of at least `margin` pixels, and so does
    background cut by the window. The window therefore loses no hole and creates none.
    """
    x, y, width, height = cv2.boundingRect((scores > 0).view(np.uint8))
    if width == 0:
        return scores
    return scores[max(0, y - margin) : y + height + margin, max(0, x - margin) : x + width + margin]


def non_overlapping(logits: F32) -> F32:
    """Give each pixel to the object with the highest score; the others score at most -10 there (sam2_base.py 891).

    logits: [N, H, W] float32. Returns [N, H, W]; the first object wins a tie.
    """
    if len(logits) < 2:
        return logits
    winner = np.argmax(logits, axis=0) == np.arange(len(logits))[:, None, None]
    return np.where(winner, logits, np.minimum(logits, np.float32(OVERLAP_SCORE)))


def tight_box(mask: BoolArray, within: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """The tight box of a mask [H, W] whose pixels all lie in the box `within`; zeros if it is empty.

    Boxes are left, top, right, bottom in pixels of the mask; right and bottom exclusive.
    """
    left, top, right, bottom = within
    x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask[top:bottom, left:right]).view(np.uint8))
    return (left + x, top + y, left + x + width, top + y + height) if width else (0, 0, 0, 0)


def boxes_xyxy(masks: BoolArray) -> F32:
    """The tight box of each mask. masks: [N, H, W] bool, source pixels.

    Returns [N, 4] float32: left, top, right, bottom in source pixels, right and bottom exclusive; zeros if empty.
    """
    boxes = np.zeros((len(masks), 4), np.float32)
    for mask, box in zip(masks, boxes, strict=True):
        x, y, width, height = cv2.boundingRect(np.ascontiguousarray(mask).view(np.uint8))
        box[:] = (x, y, x + width, y + height)
    return boxes
