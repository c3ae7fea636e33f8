"""The command line syntax of prompts: `[ID][@FRAME]:` before a point, a box or a mask file.

    --point 2@30:480,270    --negative 500,300    --box @5:10,20,110,220    --mask 3:shape.png
    --mask 1:ids.png#4

ID defaults to 1 and FRAME to the first frame that is run; if both are left out, the colon may be left out, too. In a
mask file every non-zero pixel belongs to the object; `#VALUE` selects the pixels of one value (palette index) instead,
for files with several objects. Clicks on an object that is tracked already correct it; boxes and masks segment it anew.
"""

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from masklet.runtime.errors import MaskletWarning, PromptError
from masklet.runtime.pixels.geometry import BoolArray
from masklet.runtime.prompts.prompt_file import read_prompt_file
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt, Removals, Schedule, ScheduledPrompt, schedule

MOST_OBJECTS = 16  # values of a mask file that are taken for as many objects
_PREFIX = re.compile(r"(?P<id>\d{1,10})?(?:@(?P<frame>\d{1,15}))?:(?P<rest>.*)", re.DOTALL | re.ASCII)
_MODES = ("1", "L", "P", "I;16", "I")  # Pillow's names: 1-bit, grey, palette, 16-bit grey


def parse_prompts(
    *,
    points: Iterable[str],
    negatives: Iterable[str],
    boxes: Iterable[str],
    masks: Iterable[str],
    files: Iterable[str] = (),
    first: int = 0,
) -> Schedule:
    """Read the values of --point, --negative, --box, --mask and --prompts; merge those of the same object and frame.

    first: the frame of prompts that name none.
    Raises PromptError naming the option and its value.
    """
    forms: list[tuple[str, Iterable[str], Callable[[str], Prompt]]] = [
        ("--box", boxes, _box),
        ("--point", points, lambda text: _click(text, positive=True)),
        ("--negative", negatives, lambda text: _click(text, positive=False)),
        ("--mask", masks, _mask),
    ]
    typed = [_parse(option, text, read, first) for option, texts, read in forms for text in texts]
    filed = [record.scheduled() for file in files for record in read_prompt_file(Path(file)).prompts]
    return schedule([*filed, *_as_corrections(typed, filed)])


def parse_removals(texts: Iterable[str]) -> Removals:
    """Read the values of --remove, ID@FRAME. Raises PromptError naming the value."""
    removals: Removals = {}
    for text in texts:
        match = re.fullmatch(r"(\d{1,10})@(\d{1,15})", text, re.ASCII)
        if match is None:
            raise PromptError(f"--remove {text}: expected ID@FRAME, such as 2@120")
        removals.setdefault(int(match[2]), []).append(int(match[1]))
    return removals


def _as_corrections(typed: list[ScheduledPrompt], filed: list[ScheduledPrompt]) -> list[ScheduledPrompt]:
    """Mark clicks that correct: those on an object that is prompted on other frames, too, as in Meta's predictor.

    The first of them begins the object all the same: what is not tracked yet cannot be corrected. Boxes and masks
    segment the object anew.
    """
    frames: dict[int, set[int]] = {}
    for item in (*typed, *filed):
        frames.setdefault(item.object_id, set()).add(item.frame)
    return [
        replace(item, prompt=replace(item.prompt, corrects=True))
        if isinstance(item.prompt, Points) and len(frames[item.object_id]) > 1
        else item
        for item in typed
    ]


def _parse(option: str, text: str, read: Callable[[str], Prompt], first: int) -> ScheduledPrompt:
    match = _PREFIX.fullmatch(text)
    object_id, frame, rest = match.group("id", "frame", "rest") if match else (None, None, text)
    try:
        return ScheduledPrompt(int(object_id or 1), first if frame is None else int(frame), read(rest))
    except PromptError as error:
        raise PromptError(f"{option} {text}: {error}") from None


def _numbers(text: str, names: str) -> list[float]:
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) != names.count(",") + 1:
        raise PromptError(f"expected [ID][@FRAME]:{names} in pixels, such as 2@30:{_EXAMPLES[names]}")
    return values


_EXAMPLES = {"X,Y": "480,270", "X0,Y0,X1,Y1": "10,20,110,220"}


def _click(text: str, *, positive: bool) -> Points:
    x, y = _numbers(text, "X,Y")
    return Points.click(x, y, positive=positive)


def _box(text: str) -> Box:
    x0, y0, x1, y1 = _numbers(text, "X0,Y0,X1,Y1")
    return Box(x0, y0, x1, y1)


def _mask(text: str) -> Mask:
    file, mark, value = text.rpartition("#")
    if mark and value.isdecimal() and not Path(text).exists():
        return Mask(read_mask(Path(file), int(value)))
    return Mask(read_mask(Path(text)))


def read_mask(path: Path, value: int | None = None) -> BoolArray:
    """Read a mask from a PNG: 1-bit, grey or palette.

    value: pixel value (palette index) of the object; None for every value except 0.
    Returns [H, W] bool. Raises PromptError if the file is missing, truncated or not such a PNG, or does not contain the
    value.
    """
    pixels = read_labels(path)
    values = np.unique(pixels[pixels != 0])[:20].tolist()
    if value is None and 1 < len(values) <= MOST_OBJECTS:  # more are the soft edge of one mask
        warnings.warn(
            f"{path}: has the values {', '.join(map(str, values))}, all of which are one object here; "
            f"{path}#{values[0]} takes one of them",
            MaskletWarning,
            stacklevel=2,
        )
    mask: BoolArray = pixels != 0 if value is None else pixels == value
    if value is not None and not mask.any():
        there = np.unique(pixels)[:20].tolist()
        raise PromptError(f"{path}: no pixel has the value {value}; values are {there}")
    return mask


def read_labels(path: Path) -> npt.NDArray[Any]:
    """Read the values (palette indices) [H, W] of a 1-bit, grey or palette PNG. Raises PromptError like `read_mask`."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        raise PromptError(f"{path}: no such mask file")
    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode not in _MODES:
                raise PromptError(f"{path}: a mask must be a 1-bit, grey or palette PNG, got mode {image.mode}")
            return np.asarray(image)
    except UnidentifiedImageError:
        raise PromptError(f"{path}: not a PNG") from None
    except (
        OSError,
        SyntaxError,
        Image.DecompressionBombError,
    ) as error:  # Pillow raises SyntaxError for a broken PNG
        raise PromptError(f"{path}: cannot be read: {error}") from None
