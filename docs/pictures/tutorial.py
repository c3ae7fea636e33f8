"""The pictures of the tutorial, from a run of its own snippets.

    python docs/pictures/tutorial.py

Writes docs/tutorial/*.jpg. The page of the profile is drawn by Chromium, through Playwright.
"""

import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "docs" / "generate"))

from snippets import run_snippet, snippets  # noqa: E402

PAGE = ROOT / "docs" / "tutorial" / "index.md"
SHOWN = (0, 6, 12, 18, 23, 30)  # frames of a strip
QUALITY = 85


def strip(video: Path, picture: Path) -> None:
    """Some frames of a video side by side."""
    capture = cv2.VideoCapture(str(video))
    frames = []
    while (read := capture.read())[0]:
        frames.append(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
    Image.fromarray(np.concatenate([frames[index] for index in SHOWN], axis=1)).save(picture, quality=QUALITY)


def screenshot(page: Path, picture: Path, size: tuple[int, int]) -> None:
    """The top of an HTML page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        view = browser.new_page(viewport={"width": size[0], "height": size[1]})
        view.goto(page.resolve().as_uri())
        view.screenshot(path=str(picture), type="jpeg", quality=QUALITY)
        browser.close()


def main() -> None:
    """Run the tutorial and draw its pictures."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "out").mkdir()
        (folder / "demos").symlink_to(ROOT / "demos")
        for language, code in snippets(PAGE):
            run_snippet(language, code, folder)
        out = folder / "out"
        Image.open(out / "frame.png").convert("RGB").save(PAGE.parent / "frame.jpg", quality=QUALITY)
        strip(out / "tracked.mp4", PAGE.parent / "tracked.jpg")
        strip(out / "corrected.mp4", PAGE.parent / "corrected.jpg")
        screenshot(out / "profile.html", PAGE.parent / "profile.jpg", (1180, 1000))


if __name__ == "__main__":
    main()
