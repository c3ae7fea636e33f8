"""The page of demos/browser in a real browser: clicks on its canvas against the Python runtime's masks."""

import io
import json
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import webpage
from headless_chromium import headless_chromium
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.pixels.geometry import U8, BoolArray
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from PIL import Image

HW = (150, 210)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    if not webpage.PACKAGE.is_dir():
        pytest.skip("no ONNX Runtime for the browser: needs node and `npm ci --prefix demos/browser`")
    with headless_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def image() -> U8:
    coarse = np.random.default_rng(3).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (HW[1], HW[0]), interpolation=cv2.INTER_CUBIC), np.uint8)


class Shown:
    """The page of a bundle and an image, opened; everything that it asked for is in `requests`."""

    def __init__(self, chromium: Any, url: str) -> None:
        self.page = chromium.new_page(viewport={"width": 900, "height": 700})
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(url)
        self.page.wait_for_function("document.getElementById('status').value.startsWith('ready')")
        self.box = self.page.locator("#stage").bounding_box()
        self.clicks = 0

    def source_xy(self, x: int, y: int) -> list[float]:
        """Where a pixel of the screen lies on the image, in its pixels."""
        height, width = HW
        box = self.box
        return [(x - box["x"]) / box["width"] * width, (y - box["y"]) / box["height"] * height]

    def click(self, x: int, y: int, button: str = "left") -> BoolArray:
        """Click on a pixel of the screen and return the mask that the page then shows."""
        self.page.mouse.click(x, y, button=button)
        self.clicks += 1
        self.page.wait_for_function(f"document.getElementById('status').dataset.clicks == {self.clicks}")
        return self.mask()

    def mask(self) -> BoolArray:
        """Where the canvas above the image is not transparent."""
        url = self.page.evaluate("document.getElementById('mask').toDataURL()")
        picture = Image.open(io.BytesIO(b64decode(url.split(",")[1])))
        return np.asarray(picture)[:, :, 3] > 0


@pytest.fixture(params=["sam_bundle", "nano_bundle"])
def bundle(request: pytest.FixtureRequest) -> Bundle:
    return Bundle.load(request.getfixturevalue(request.param))


@pytest.fixture
def shown(chromium: Any, bundle: Bundle, image: U8, tmp_path: Path) -> Iterator[Shown]:
    webpage.write_page(bundle, image, tmp_path)
    with webpage.serve(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        opened = Shown(chromium, f"http://127.0.0.1:{server.server_port}/")
        yield opened
        opened.page.close()
        server.shutdown()


def iou(first: BoolArray, second: BoolArray) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_masks_are_those_of_the_python_runtime(shown: Shown, bundle: Bundle, image: U8) -> None:
    predictor = ImagePredictor(bundle)
    predictor.set_image(image)
    given = [(300, 300, 1), (650, 420, 0), (170, 520, 1)]
    for count, (x, y, label) in enumerate(given, start=1):
        mask = shown.click(x, y, "left" if label else "right")
        points = np.array([shown.source_xy(x, y) for x, y, _ in given[:count]], np.float32)
        wanted = predictor.predict(Points(points, np.array([label for *_, label in given[:count]]))).masks[0, 0]
        assert mask.shape == wanted.shape == HW
        assert 0 < wanted.sum() < wanted.size
        assert iou(mask, wanted) >= 0.99
    assert shown.page.locator("circle").count() == 3
    assert shown.page.locator("circle.add").count() == 2
    shown.page.keyboard.press("Escape")
    assert not shown.mask().any()
    assert shown.errors == []


def test_hovering_previews_and_undo_goes_back(shown: Shown) -> None:
    first = shown.click(260, 270)
    assert not np.array_equal(shown.click(760, 570), first)
    shown.page.keyboard.press("z")
    shown.page.wait_for_function("document.getElementById('status').dataset.clicks == 1")
    assert np.array_equal(shown.mask(), first)
    shown.page.keyboard.press("z")
    assert not shown.mask().any()
    shown.page.mouse.move(260, 270)
    shown.page.wait_for_function("document.getElementById('status').dataset.clicks == 0")
    assert np.array_equal(shown.mask(), first)
    shown.page.mouse.move(1, 1)
    assert not shown.mask().any()


def test_nothing_comes_from_elsewhere(shown: Shown) -> None:
    shown.click(260, 270)
    names = {url.split("/")[-1] for url in shown.requests}
    assert {"decoder.js", "ort.wasm.min.mjs", "mask_decoder.onnx", "mask_decoder.weights"} <= names
    own = shown.page.url
    assert [url for url in shown.requests if not url.startswith((own, f"blob:{own}", "data:"))] == []


def test_the_package_is_pinned_and_names_no_registry() -> None:
    lock = json.loads((webpage.HERE / "package-lock.json").read_text())
    wanted = json.loads((webpage.HERE / "package.json").read_text())["dependencies"]
    assert {name: lock["packages"][f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
    assert not any("resolved" in package for package in lock["packages"].values())
