"""The picture of docs/how-to/diagnose.md: films of a held-out scene, as it is and transformed.

    python docs/pictures/diagnosis.py BUNDLE [--clip N] [--transform NAME:LEVEL]

BUNDLE is the checkpoint of demos/nano at 256 px. The page is drawn by Chromium, through Playwright.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "demos" / "nano"))

from folder import write_clip  # noqa: E402
from scenes import HELD_OUT_SEED, render  # noqa: E402

PICTURE = ROOT / "docs" / "how-to" / "diagnose.jpg"
WIDTH, QUALITY = 860, 80


def screenshot(page: Path) -> None:
    """The first film of the first transformation, with what is said of it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium")
        view = browser.new_page(viewport={"width": WIDTH, "height": 1000})
        view.goto(page.resolve().as_uri())
        details = view.locator("section", has_text="Transformed").locator("details").first
        details.evaluate("element => { element.open = true }")
        verdict, film = (details.locator(kind).first.bounding_box() for kind in (".verdict", "table.film"))
        if verdict is None or film is None:
            raise SystemExit("no object was lost; choose another --clip")
        area = {"x": 0, "y": verdict["y"], "width": WIDTH, "height": film["y"] + film["height"] - verdict["y"]}
        view.screenshot(path=str(PICTURE), type="jpeg", quality=QUALITY, full_page=True, clip=area)
        browser.close()


def main() -> None:
    """Diagnose the clip and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--clip", type=int, default=5)
    parser.add_argument("--transform", default="occlusion:3")
    chosen = parser.parse_args()
    clip = render("cluttered", HELD_OUT_SEED + chosen.clip, 256, 30)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_clip(folder, clip.frames, clip.labels)
        words = ["masklet", "diagnose", chosen.bundle, folder / "frames", "--truth", folder / "masks"]
        words += ["--transform", chosen.transform, "--html", folder / "report.html"]
        subprocess.run([str(word) for word in words], check=True)
        screenshot(folder / "report.html")


if __name__ == "__main__":
    main()
