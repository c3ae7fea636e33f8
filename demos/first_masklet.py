"""Track one clicked object through a video, from Python.

masklet export facebook/sam2.1-hiera-tiny -o tiny.bundle
python demos/first_masklet.py tiny.bundle clip.mp4 480 270
"""

from pathlib import Path
from typing import Annotated

import typer
from masklet.runtime import Bundle, MasksJsonl, OverlayVideo, Points, VideoTracker, open_source


def main(
    bundle: Path,
    video: str,
    x: Annotated[float, typer.Argument(help="The click on frame 0, in pixels to the right.")],
    y: Annotated[float, typer.Argument(help="The click on frame 0, in pixels down.")],
    overlay: Annotated[Path, typer.Option("-o")] = Path("overlay.mp4"),
) -> None:
    """Write an overlay video and the masks of the object at (x, y)."""
    tracker = VideoTracker(Bundle.load(bundle))
    frames = open_source(video)
    with frames, OverlayVideo(overlay, frames.fps) as drawn, MasksJsonl(overlay.with_suffix(".jsonl")) as masks:
        for frame in frames:
            result = tracker.step(frame, {1: Points.click(x, y)} if frame.index == 0 else {})
            drawn.write(frame, result)
            masks.write(frame, result)
            print(f"frame {frame.index}: {result.masks.sum()} pixels, score {result.scores[0]:.2f}")


if __name__ == "__main__":
    typer.run(main)
