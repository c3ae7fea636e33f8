"""A contact sheet of held-out scenes: what the exported checkpoint found (white) and what is true (black).

python demos/nano/sheet.py sheet.png --scenes cluttered --clips 8
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from evaluate import CHECKPOINT, follow, opened
from masklet.runtime import MaskletError
from numpy.typing import NDArray
from scenes import Clip, held_out
from scoring import Track

Bytes = NDArray[np.uint8]
COLUMNS, ZOOM = 8, 2
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def _outline(picture: Bytes, mask: NDArray[np.bool_], colour: tuple[int, int, int]) -> None:
    big = np.repeat(np.repeat(mask.astype(np.uint8), ZOOM, axis=0), ZOOM, axis=1)
    loops, _ = cv2.findContours(big, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, loops, -1, colour, 1)


def strip(clip: Clip, tracks: Sequence[Track]) -> Bytes:
    """One row: frames spread evenly over a clip, enlarged, with both outlines of every object."""
    cells = []
    for frame in np.linspace(0, len(clip.frames) - 1, COLUMNS).round().astype(int):
        cell = np.repeat(np.repeat(clip.frames[frame], ZOOM, axis=0), ZOOM, axis=1).copy()
        for track in tracks:
            _outline(cell, track.true[frame], BLACK)
            _outline(cell, track.found[frame], WHITE)
        cells.append(cell)
    return np.concatenate(cells, axis=1)


def sheet(checkpoint: Path, kind: str, clips: int) -> Bytes:
    """Export a checkpoint, track held-out clips, and stack their rows."""
    with opened(checkpoint, threads=None) as sessions:
        rows = [strip(clip, follow(sessions, clip)[0]) for clip in held_out(kind, clips)]
    return np.concatenate(rows, axis=0)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write the picture."""
    parser = argparse.ArgumentParser(prog="sheet.py", description=__doc__)
    parser.add_argument("output", type=Path, help="a PNG file")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--scenes", default="cluttered")
    parser.add_argument("--clips", type=int, default=8)
    chosen = parser.parse_args(arguments)
    try:
        drawn = sheet(chosen.checkpoint, chosen.scenes, chosen.clips)
    except (ValueError, OSError, MaskletError) as error:
        print(f"sheet.py: {error}", file=sys.stderr)
        return 2
    if not cv2.imwrite(str(chosen.output), drawn[..., ::-1]):
        print(f"sheet.py: cannot write {chosen.output}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
