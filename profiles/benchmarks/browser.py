"""A click in the browser: from the pointer's event to the mask on the canvas, and the decoder's share of it.

    python profiles/benchmarks/browser.py [--sam BUNDLE] [--nano BUNDLE] [--clicks N] [--write]

The page of demos/browser in headless Chromium, on a random SAM ViT-B of real size and on the trained nano checkpoint;
what is not given is exported first. The peer is the same graph in native ONNX Runtime with as many threads, and the two
take turns, click by click; figures are medians. --write keeps the table in browser.md beside this file.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "demos" / "browser")]

import webpage  # noqa: E402
from masklet.profiles.benchmarks.image import bundle_of, scene  # noqa: E402
from masklet.profiles.benchmarks.stages import cpu_name  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Points  # noqa: E402
from masklet.runtime.segmentation.image_predictor import ImagePredictor  # noqa: E402
from masklet.runtime.sources.source import Cut  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402
from sam_checkpoints import random_sam, sam_config  # noqa: E402

STATUS = "document.getElementById('status')"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WARM_UP = 3


def measure(browser: Any, bundle: Bundle, clicks: int, folder: Path) -> tuple[str, str]:
    """The row of a model, and the browser's number of threads."""
    image = Cut(max_side=1024).shrink(scene())
    webpage.write_page(bundle, image, folder)
    with webpage.serve(folder) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.wait_for_function(f"{STATUS}.value.startsWith('ready')", timeout=120_000)
        threads = int(page.evaluate("navigator.hardwareConcurrency"))
        decoder, whole, native = [], [], []
        with Sessions.open(bundle, OnnxRuntime(threads)) as sessions:
            predictor = ImagePredictor(sessions)
            predictor.set_image(image)
            for count in range(clicks + WARM_UP):
                page.keyboard.press("Escape")
                page.mouse.move(400 + 10 * count, 420)  # the preview comes first, as it does for a user who aims
                page.wait_for_function(f"{STATUS}.dataset.clicks == 0")
                page.mouse.down()
                page.mouse.up()
                page.wait_for_function(f"{STATUS}.dataset.clicks == 1")
                decoder.append(float(page.evaluate(f"{STATUS}.dataset.milliseconds")))
                whole.append(float(page.evaluate(f"{STATUS}.dataset.whole")))
                start = time.perf_counter()
                predictor.decode([Points.click(300 + 8 * count, 300)])
                native.append(1000 * (time.perf_counter() - start))
        page.close()
        server.shutdown()
    figures = [statistics.median(times[WARM_UP:]) for times in (decoder, whole, native)]
    model = bundle.model
    name = f"{model.family} {model.variant}, {model.preprocess.side} px"
    cells = " | ".join(f"{figure:.0f}" for figure in figures)
    return f"| {name} | {cells} | {figures[0] / figures[2]:.1f} |", str(threads)


def report(rows: list[str], threads: str, chromium: str, clicks: int) -> str:
    """The table, with what is needed to repeat it."""
    package = json.loads((webpage.HERE / "package.json").read_text())["dependencies"]["onnxruntime-web"]
    return "\n".join(
        [
            "# A click in the browser",
            "",
            f"{datetime.date.today().isoformat()}, {cpu_name()}, {threads} threads, Chromium {chromium} without a "
            f"screen, "
            f"load average {os.getloadavg()[0]:.1f}. onnxruntime-web {package} (WebAssembly, FP32), onnxruntime "
            f"{importlib.metadata.version('onnxruntime')}. "
            f"One click on an image of 1024 x 576; medians of {clicks}, browser and native in turns. "
            "`python profiles/benchmarks/browser.py --write`",
            "",
            "| model | decoder, ms | event to mask, ms | native decoder, ms | ratio |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam", type=Path)
    parser.add_argument("--nano", type=Path)
    parser.add_argument("--clicks", type=int, default=21)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None or not webpage.PACKAGE.is_dir():
        sys.exit("browser.py: needs Chromium and `npm ci --prefix demos/browser`")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as driver:
        scratch = Path(name)
        sam = bundle_of(given.sam, "sam", scratch, lambda: random_sam(sam_config("base", side=1024)))
        nano = given.nano or scratch / "nano.bundle"
        if not nano.exists():
            from masklet.export.pipeline import export_bundle

            export_bundle(str(ROOT / "demos" / "nano" / "checkpoint"), nano)
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        rows = []
        for index, bundle in enumerate((sam, Bundle.load(nano))):
            folder = scratch / f"page{index}"
            folder.mkdir()
            row, threads = measure(browser, bundle, given.clicks, folder)
            rows.append(row)
            print(row, flush=True)
        text = report(rows, threads, browser.version, given.clicks)
        browser.close()
    print(text)
    if given.write:
        (HERE / "browser.md").write_text(text)


if __name__ == "__main__":
    main()
