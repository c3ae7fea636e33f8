"""A snapshot to download: a frame's picture, its masks, and the prompts that made them."""

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import msgspec
from masklet.runtime.errors import SinkError
from masklet.runtime.pixels.overlay import draw
from masklet.runtime.pixels.palette import palette_png
from masklet.runtime.pixels.png import png
from masklet.runtime.prompts.prompt_file import PromptFile
from masklet.runtime.view.shown_frame import ShownFrame


def snapshot(shown: ShownFrame, prompts: PromptFile) -> bytes:
    """A ZIP archive: picture.png, overlay.png, masks.png, result.json, prompts.json.

    In masks.png a pixel's value is its object's id; it is left out where an id is above 255.
    """
    files = {
        "picture.png": png(shown.frame.image),
        "overlay.png": png(draw(shown.frame.image, shown.result)),
        "result.json": msgspec.json.format(msgspec.json.encode(shown.line()), indent=1),
        "prompts.json": prompts.encode(),
    }
    with suppress(SinkError):
        files["masks.png"] = palette_png(shown.result, Path("masks.png"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as zipped:  # pictures are packed already
        for name, data in files.items():
            zipped.writestr(name, data)
    return archive.getvalue()
