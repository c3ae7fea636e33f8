"""The page of a live view in a real browser: every tool of it, and the masks that it shows against the runtime's."""

import io
import zipfile
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headless_chromium import headless_chromium
from masklet.runtime.pixels.geometry import BoolArray
from PIL import Image
from two_discs import iou
from viewed_run import SIDE, Run, viewed_run

FIRST, SECOND, BESIDE = (30, 40), (96, 90), (60, 64)
MASKS = "[Number(document.getElementById('stage').dataset.frame), document.getElementById('masks').toDataURL()]"


class Page:
    """The page, opened. errors: what its console said; requests: what it asked for."""

    def __init__(self, chromium: Any, run: Run, **context: Any) -> None:
        self.run = run
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page = chromium.new_context(**{"viewport": {"width": 1280, "height": 800}, **context}).new_page()
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(run.url + "/")
        self.page.locator("#stage[data-frame]").wait_for()

    def at(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where a pixel of the frame is on the screen."""
        box = self.page.locator("#stage").bounding_box()
        return box["x"] + point[0] / SIDE * box["width"], box["y"] + point[1] / SIDE * box["height"]

    def click(self, point: tuple[float, float], button: str = "left") -> None:
        self.page.mouse.click(*self.at(point), button=button)

    def drag(self, first: tuple[float, float], last: tuple[float, float]) -> None:
        self.page.mouse.move(*self.at(first))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(last), steps=6)
        self.page.mouse.up()

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)

    def tool(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def objects(self, count: int) -> None:
        """Wait until so many objects are listed."""
        exactly = f"#objects:has(li:nth-child({count})):not(:has(li:nth-child({count + 1})))"
        self.page.wait_for_selector(exactly if count else "#no-objects:visible")

    def notice(self, words: str) -> str:
        """Wait for a notice, and return it."""
        found = self.page.locator("#notices p", has_text=words).last
        found.wait_for()
        return str(found.text_content())

    def shown(self) -> tuple[int, BoolArray]:
        """The frame that is shown, and where any mask is drawn."""
        frame, url = self.page.evaluate(MASKS)
        picture = Image.open(io.BytesIO(b64decode(url.split(",")[1])))
        return frame, np.asarray(picture)[:, :, 3] > 0

    def agrees(self) -> float:
        """IoU of what is drawn with the runtime's masks of that frame."""
        frame, drawn = self.shown()
        self.run.wait_for(lambda: frame in self.run.results[0].by_frame)
        masks = self.run.results[0].by_frame[frame].masks
        wanted = np.asarray(masks.any(axis=0), bool) if len(masks) else np.zeros_like(drawn)
        return iou(drawn, wanted)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with headless_chromium() as browser:
        yield browser


@pytest.fixture
def run(nano_bundle: Path) -> Iterator[Run]:
    with viewed_run(nano_bundle) as running:
        yield running


@pytest.fixture
def page(chromium: Any, run: Run) -> Iterator[Page]:
    opened = Page(chromium, run)
    yield opened
    assert opened.errors == []
    opened.page.context.close()


def test_every_tool_prompts_the_runtime(page: Page) -> None:
    page.click(FIRST)
    page.objects(1)
    assert page.notice("Added object 1 on frame")
    assert page.agrees() >= 0.99
    page.click(BESIDE, button="right")
    page.notice("Corrected object 1 on frame")
    page.key("n")
    page.tool("Box")
    page.drag((74, 68), (118, 112))
    page.objects(2)
    page.notice("Added object 2")
    page.key("Escape")
    page.tool("Brush")
    page.drag((20, 100), (40, 110))
    page.tool("Use mask")
    page.objects(3)
    page.notice("Added object 3")
    given = page.run.books[0].live
    assert [one.object for one in given] == [1, 1, 2, 3]
    assert np.allclose(given[0].points, [FIRST], atol=0.7)
    assert given[1].labels == [0]
    assert given[2].box is not None
    assert np.allclose(given[2].box, (74, 68, 118, 112), atol=0.7)
    assert given[3].mask is not None
    painted = given[3].mask.mask()
    assert painted[100, 20]
    assert painted[110, 40]
    assert not painted[90, 90]
    assert page.agrees() >= 0.99


def test_objects_are_renamed_hidden_removed_and_brought_back(page: Page) -> None:
    page.click(FIRST)
    page.objects(1)
    page.page.locator("#objects .name").dblclick()
    page.page.locator("#objects input").fill("<i>left</i>")
    page.key("Enter")
    page.page.locator("#objects .name", has_text="<i>left</i>").wait_for()
    page.page.locator("#labels button", has_text="<i>left</i>").wait_for()
    page.page.get_by_title("Hide or show its mask").click()
    page.run.wait_for(lambda: not page.shown()[1].any())
    page.page.get_by_title("Hide or show its mask").click()
    page.page.get_by_title("Stop tracking it (Delete)").click()
    page.objects(0)
    page.key("z")
    page.objects(1)
    assert page.page.locator("#objects .name").text_content() == "<i>left</i>"


def test_two_viewers_see_the_same_and_a_reload_changes_nothing(chromium: Any, page: Page) -> None:
    other = Page(chromium, page.run, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.click(FIRST)
    other.objects(1)
    other.page.touchscreen.tap(*other.at(SECOND))
    page.objects(2)
    assert other.agrees() >= 0.99
    page.page.reload()
    page.objects(2)
    page.page.locator("#stage[data-frame]").wait_for()
    assert page.agrees() >= 0.99
    assert other.errors == []
    other.page.context.close()


def test_the_keyboard_alone_is_enough(page: Page) -> None:
    page.page.locator("#stage").focus()
    for key, times in (("Shift+ArrowLeft", 3), ("ArrowLeft", 4), ("Shift+ArrowUp", 2), ("ArrowUp", 4)):
        for _ in range(times):
            page.key(key)
    page.key("Enter")
    page.objects(1)
    assert page.run.books[0].live[0].points == [(30.0, 40.0)]
    page.key("Shift+Enter")
    page.notice("Corrected object 1")
    page.key("Delete")
    page.objects(0)
    page.key("?")
    assert page.page.locator("#help-dialog").is_visible()


def test_what_goes_wrong_is_one_line_on_the_page(page: Page) -> None:
    page.click(BESIDE, button="right")
    page.notice("No object is selected")
    page.click(FIRST)
    page.objects(1)
    page.run.call("DELETE", "/api/streams/1/objects/1")
    page.click(FIRST)  # for the object that is still selected, unless the list was quicker
    lines = page.page.locator("#notices p")
    lines.filter(has_text="not tracked").or_(lines.filter(has_text="object 2")).last.wait_for()
    page.errors.clear()  # the browser logs an answer of 404


def test_nothing_comes_from_elsewhere(page: Page) -> None:
    page.click(FIRST)
    page.objects(1)
    own = page.run.url
    assert [
        url for url in page.requests if not url.startswith((own, own.replace("http", "ws"), "blob:", "data:"))
    ] == []


def test_a_file_is_paused_and_stepped(chromium: Any, nano_bundle: Path) -> None:
    with viewed_run(nano_bundle, frames=60, paused=True) as run:
        page = Page(chromium, run)
        page.page.locator("#chip", has_text="paused").wait_for()
        page.key(".")
        page.page.locator("#stage[data-frame='1']").wait_for()
        page.click(FIRST)
        assert page.notice("Added object 1") == "Added object 1 on frame 2, 1 after the one you saw"
        page.page.locator("#stage[data-frame='2']").wait_for()
        assert page.agrees() >= 0.99
        page.key("Space")
        page.page.locator("#chip", has_text="ended").wait_for()
        run.view.close()
        page.page.locator("#chip", has_text="the run is over").wait_for()
        assert page.errors == []


def test_phrases_are_looked_for_and_streams_are_tiles(chromium: Any, sam3_bundle: Path) -> None:
    with viewed_run(sam3_bundle, streams=2) as run:
        page = Page(chromium, run)
        assert page.page.locator("#tiles button").count() == 2
        page.page.locator("#phrase").fill("person")
        page.key("Enter")
        page.notice("Looking from frame")
        page.page.locator("#objects .name", has_text="person").first.wait_for()
        page.page.locator("#phrases li", has_text="person").wait_for()
        page.run.wait_for(lambda: page.shown()[1].any())
        assert page.agrees() >= 0.99
        page.page.locator("#tiles button").nth(1).click()
        page.objects(0)
        page.click(FIRST)
        page.objects(1)
        assert len(run.books[1].live) == 1
        page.page.locator("#tiles button").nth(0).click()
        page.page.get_by_title("Look for person no more").click()
        page.objects(0)
        assert page.errors == []


def test_without_a_token_the_page_says_what_to_do(chromium: Any, nano_bundle: Path) -> None:
    with viewed_run(nano_bundle, token="t" * 24) as run:
        page = chromium.new_page()
        page.goto(run.url + "/")
        page.locator("#notices p", has_text="needs its token").first.wait_for()
        page.goto(run.view.private_url.replace("/#", "/?#"))
        page.locator("#stage[data-frame]").wait_for()
        assert "token" not in page.url
        page.reload()
        page.locator("#stage[data-frame]").wait_for()
        page.close()


def test_a_browser_without_sockets_is_told(chromium: Any, run: Run) -> None:
    page = chromium.new_page()
    page.add_init_script("delete window.WebSocket")
    page.goto(run.url + "/")
    page.locator("#notices p", has_text="this browser has no WebSocket").first.wait_for()
    page.close()


def test_a_snapshot_is_downloaded(page: Page) -> None:
    page.click(FIRST)
    page.objects(1)
    with page.page.expect_download() as download:
        page.key("s")
    assert download.value.suggested_filename.startswith("masklet-1-")
    assert zipfile.is_zipfile(download.value.path())


@pytest.mark.parametrize("size", [(390, 844), (844, 390), (820, 1180), (1280, 800), (1920, 1080)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off(chromium: Any, run: Run, size: tuple[int, int], scheme: str) -> None:
    """On every screen the picture is large, nothing sticks out to the side, and every button can be reached."""
    page = Page(chromium, run, viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    assert page.page.evaluate("document.documentElement.scrollWidth") <= size[0]
    box = page.page.locator("#stage").bounding_box()
    assert min(box["width"], box["height"]) >= 0.6 * min(size)
    for button in page.page.locator("button:visible").all():
        assert button.bounding_box()["height"] >= 28
        button.click(trial=True, force=button.is_disabled())
    page.page.context.close()


def test_an_example_shows_what_to_find(chromium: Any, sam3_bundle: Path) -> None:
    with viewed_run(sam3_bundle) as run:
        page = Page(chromium, run)
        page.tool("Example")
        page.drag((12, 22), (48, 58))
        page.notice("Looking from frame")
        assert page.errors == []
