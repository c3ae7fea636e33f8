"""The pictures of the live view and of `masklet annotate`: their real pages in Chromium, on the demo's scene.

    python docs/pictures/view.py [--bundle nano.bundle] [-o docs/view]

Writes live.jpg, live-dark.jpg, phone.jpg, annotate.jpg, and live.webp, twenty seconds of a session. Without a bundle
it exports the nano checkpoint at 256 px.
"""

import argparse
import io
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).parent.parent.parent
NANO = ROOT / "demos" / "nano"
sys.path.insert(0, str(NANO))

from clicks import centre_click  # noqa: E402
from live_scene import KIND, SEED  # noqa: E402
from scenes import render  # noqa: E402

SIDE, FRAMES, RATE = 480, 40, 12.0
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
QUALITY = 82
FILM_S, FILM_RATE, FILM_WIDTH, FILM_QUALITY = 20.0, 4.0, 720, 32


class Pages:
    """Pages of one address. labels: the scene's true ids by frame, to know where to click."""

    def __init__(self, chromium: Any, url: str, folder: Path, labels: Any) -> None:
        self._chromium, self._url, self._folder, self._labels = chromium, url, folder, labels

    def open(self, viewport: dict[str, int], **context: Any) -> Any:
        """The page, once it shows a frame."""
        page = self._chromium.new_context(viewport=viewport, **context).new_page()
        page.goto(self._url)
        page.locator("#stage[data-frame]").wait_for()
        return page

    def where(self, page: Any, label: int) -> tuple[float, float]:
        """Where an object of the scene is on the screen, on the frame after the one that is shown."""
        shown = int(page.locator("#stage").get_attribute("data-frame")) + 1
        turned = shown % (2 * FRAMES - 2)
        x, y = centre_click(self._labels[min(turned, 2 * FRAMES - 2 - turned)] == label)
        box = page.locator("#stage").bounding_box()
        return box["x"] + x / SIDE * box["width"], box["y"] + y / SIDE * box["height"]

    def click(self, page: Any, label: int, name: str) -> None:
        """Click on an object of the scene, and call it something."""
        page.keyboard.press("n")
        page.mouse.click(*self.where(page, label))
        page.locator(f"#objects li:nth-child({label})").wait_for()
        row = page.locator(f"#objects li:nth-child({label}) .name")
        row.dblclick()
        page.locator("#objects input").fill(name)
        page.keyboard.press("Enter")

    def picture(self, page: Any, name: str) -> None:
        """Keep what a page shows."""
        page.mouse.move(2, 2)
        page.wait_for_timeout(4500)  # notices have gone
        page.screenshot(path=str(self._folder / name), type="jpeg", quality=QUALITY)


@contextmanager
def running(*words: object, stdin: Any = None, cwd: Path | None = None) -> Iterator[str]:
    """A command that serves a page; yields its address."""
    command = ["masklet", *map(str, words)]
    process = subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, text=True, cwd=cwd)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def live(chromium: Any, bundle: Path, folder: Path, labels: Any) -> None:
    """The page of a stream, light and dark, wide and on a phone, and a film of it."""
    scene = subprocess.Popen(
        [sys.executable, NANO / "live_scene.py", "--size", str(SIDE), "--rate", str(RATE)], stdout=subprocess.PIPE
    )
    words = ("run", bundle, "-", "--size", f"{SIDE}x{SIDE}", "--rate", RATE, "--newest", "--view", 0)
    try:
        with running(*words, stdin=scene.stdout) as url:
            pages = Pages(chromium, url, folder, labels)
            taken = film(pages)
            for name, viewport, context in (
                ("live.jpg", WIDE, {"color_scheme": "light"}),
                ("live-dark.jpg", WIDE, {"color_scheme": "dark"}),
                ("phone.jpg", PHONE, {"color_scheme": "dark", "is_mobile": True, "has_touch": True}),
            ):
                page = pages.open(viewport, **context)
                page.locator("#objects li").first.click()
                pages.picture(page, name)
                page.context.close()
    finally:
        scene.kill()
    options = {"duration": round(1e3 / FILM_RATE), "loop": 0, "quality": FILM_QUALITY, "method": 2}
    taken[0].save(folder / "live.webp", save_all=True, append_images=taken[1:], **options)


def film(pages: Pages) -> list[Image.Image]:
    """Twenty seconds: two objects are added and named, one is hidden and shown again."""
    page = pages.open({"width": 1120, "height": 700}, color_scheme="light")
    acts = {
        2.0: lambda: pages.click(page, 1, "chequered"),
        8.0: lambda: pages.click(page, 2, "ball"),
        14.0: lambda: page.get_by_title("Hide or show its mask").first.click(),
        17.0: lambda: page.get_by_title("Hide or show its mask").first.click(),
    }
    taken: list[Image.Image] = []
    began_s = time.perf_counter()
    for number in range(int(FILM_S * FILM_RATE)):
        for due_s in [due_s for due_s in acts if due_s <= number / FILM_RATE]:
            acts.pop(due_s)()
        shot = Image.open(io.BytesIO(page.screenshot(type="jpeg", quality=90)))
        taken.append(shot.resize((FILM_WIDTH, FILM_WIDTH * shot.height // shot.width), Image.Resampling.LANCZOS))
        time.sleep(max(0.0, began_s + (number + 1) / FILM_RATE - time.perf_counter()))
    page.context.close()
    return taken


def annotation(chromium: Any, bundle: Path, folder: Path, scene: Path, labels: Any) -> None:
    """The page of a clip, with a correction."""
    words = ("annotate", bundle.resolve(), "frames", "--truth", "masks", "--port", 0)
    with running(*words, cwd=scene) as url:
        pages = Pages(chromium, url, folder, labels)
        page = pages.open(WIDE, color_scheme="light")
        for label, name in ((1, "chequered"), (2, "ball")):
            box = page.locator("#stage").bounding_box()
            x, y = centre_click(labels[0] == label)
            page.keyboard.press("n")
            page.mouse.click(box["x"] + x / SIDE * box["width"], box["y"] + y / SIDE * box["height"])
            page.locator(f"#objects li:nth-child({label}) .name").dblclick()
            page.locator("#objects input").fill(name)
            page.keyboard.press("Enter")
        page.keyboard.press("t")
        page.locator(f"#stage[data-frame='{FRAMES - 1}']").wait_for()
        page.locator("#chip", has_text="saved").wait_for()
        for _ in range(10):
            page.keyboard.press(",")
        page.locator("#objects li").first.click()
        pages.picture(page, "annotate.jpg")


def main() -> None:
    """Draw all of them."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs" / "view")
    given = parser.parse_args()
    labels = render(KIND, SEED, SIDE, FRAMES).labels
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as driver:
        bundle, scene = given.bundle or Path(temporary) / "nano.bundle", Path(temporary) / "scene"
        if given.bundle is None:
            words = ["masklet", "export", NANO / "checkpoint", "-o", bundle, "--image-size", "256"]
            subprocess.run(words, check=True)
        words = [sys.executable, NANO / "scenes.py", KIND, "--seed", SEED, "--size", SIDE, "--frames", FRAMES]
        subprocess.run([*map(str, words), "-o", scene], check=True)
        chromium = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        live(chromium, bundle, given.output, labels)
        annotation(chromium, bundle, given.output, scene, labels)
        chromium.close()


if __name__ == "__main__":
    main()
