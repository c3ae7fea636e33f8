"""masklet's own: JSON lines, as `masklet run --masks` writes them and every `--truth` takes them."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.convert.format import Format

if TYPE_CHECKING:
    from masklet.runtime.convert.clip_results import ClipResults


def write_masks(clip: "ClipResults", target: Path) -> None:
    """The masks file itself; names of objects stay in the prompts file."""
    from masklet.runtime.sinks.output_file import write_whole

    write_whole(target, clip.path.read_bytes())


FORMAT = Format("masks", "JSON lines of masklet itself, one file", ".jsonl", write_masks)
