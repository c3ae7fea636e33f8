"""`masklet annotate` as a process, and its page in a real browser: prompts, tracking both ways, what is saved."""

import io
import json
import signal
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import process_words
from headless_chromium import headless_chromium
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.prompts.prompt_file import read_prompt_file
from masklet.runtime.sources.opening import open_source
from masklet.runtime.tracking.video_tracker import VideoTracker
from PIL import Image
from two_discs import iou, two_discs

SIDE, FRAMES = 128, 16
FIRST, BESIDE = (30, 40), (60, 64)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with headless_chromium() as browser:
        yield browser


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    (tmp_path / "truth").mkdir()
    for frame in two_discs(FRAMES, SIDE, (30, 40, 18), (96, 90, 22)):
        name, labels = f"{frame.index:05d}.png", np.zeros((SIDE, SIDE), np.uint8)
        cv2.imwrite(str(tmp_path / "frames" / name), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
        cv2.circle(labels, (30 + 2 * frame.index, 40 + frame.index), 18, 1, -1)
        cv2.imwrite(str(tmp_path / "truth" / name), labels)
    return tmp_path / "frames"


class Page:
    """The page of a process that annotates a clip."""

    def __init__(self, chromium: Any, bundle: Path, clip: Path) -> None:
        words = process_words(
            "annotate", bundle, clip, "--truth", clip.with_name("truth"), "--port", "0", "--threads", 1
        )
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        url = self.process.stdout.readline().strip()
        self.errors: list[str] = []
        self.page = chromium.new_page(viewport={"width": 1280, "height": 860})
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.goto(url)
        self.page.locator("#stage[data-frame]").wait_for()

    def end(self) -> str:
        """End it as a user does; returns what it said."""
        self.page.close()
        self.process.send_signal(signal.SIGINT)
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return said

    def click(self, point: tuple[float, float], button: str = "left") -> None:
        box = self.page.locator("#stage").bounding_box()
        x, y = (
            box[side] + at / SIDE * box[size] for side, size, at in zip("xy", ("width", "height"), point, strict=True)
        )
        self.page.mouse.click(x, y, button=button)

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)

    def at(self, frame: int) -> None:
        """Wait for a frame to be shown."""
        self.page.locator(f"#stage[data-frame='{frame}']").wait_for()

    def notice(self, words: str) -> None:
        self.page.locator("#notices p", has_text=words).last.wait_for()

    def saved(self) -> None:
        """Wait until nothing is being done."""
        self.page.locator("#chip", has_text="saved").wait_for(timeout=60_000)

    def drawn(self) -> Any:
        url = self.page.evaluate("document.getElementById('masks').toDataURL()")
        return np.asarray(Image.open(io.BytesIO(b64decode(url.split(",")[1]))))[:, :, 3] > 0


def test_a_clip_is_annotated_and_opened_again(chromium: Any, nano_bundle: Path, clip: Path) -> None:
    page = Page(chromium, nano_bundle, clip)
    for _ in range(3):
        page.key(".")
    page.at(3)
    page.click(FIRST)
    page.notice("Added object 1 on frame 3")
    page.key("t")
    page.at(FRAMES - 1)
    page.saved()
    page.page.locator("#going button", has_text="Track back").click()
    page.at(0)
    page.saved()
    box = page.page.locator("#timeline").bounding_box()
    page.page.mouse.click(box["x"] + box["width"] * 10.5 / FRAMES, box["y"] + 8)
    page.at(10)
    page.click(BESIDE, button="right")
    page.notice("Corrected object 1 on frame 10")
    page.key("y")  # a run backwards sees the correction, too
    page.at(0)
    page.saved()
    page.key("t")
    page.at(FRAMES - 1)
    page.saved()
    page.page.locator("#agreement", has_text="mean J").wait_for()
    page.page.locator("#objects .name").dblclick()
    page.page.locator("#objects input").fill("left disc")
    page.key("Enter")
    page.page.locator("#labels button", has_text="left disc").wait_for()
    drawn = page.drawn()
    assert page.errors == []
    assert "saved in" in page.end()

    folder = clip.with_suffix(".annotation")
    prompts = read_prompt_file(folder / "prompts.json")
    assert [(one.frame, one.object, one.corrects) for one in prompts.prompts] == [(3, 1, False), (10, 1, True)]
    assert prompts.names == {1: "left disc"}
    lines = [json.loads(line) for line in (folder / "masks.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(FRAMES))
    tracker, plan = VideoTracker(Bundle.load(nano_bundle)), prompts.schedule()
    for frame in open_source(str(clip)):
        result = tracker.step(frame, plan.get(frame.index))
    assert iou(drawn, result.masks[0]) >= 0.99

    again = Page(chromium, nano_bundle, clip)
    again.page.locator("#objects .name", has_text="left disc").wait_for()
    again.key("End")
    again.at(FRAMES - 1)
    assert np.array_equal(again.drawn(), drawn)
    again.page.locator("#objects li").click()
    again.key("Delete")
    again.page.locator("#no-objects").wait_for()
    again.key("z")
    again.page.locator("#objects .name", has_text="left disc").wait_for()
    assert again.errors == []
    again.end()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nowhere.mp4"], "no such file"),
        (["{clip}", "--port", "x"], "--port x: expected [HOST:]PORT"),
        (["{clip}", "--truth", "nowhere"], "nowhere: no such masks"),
        (["{clip}", "-o", "{clip}/00000.png"], "cannot be made a folder"),
    ],
)
def test_bad_input_is_one_line(nano_bundle: Path, clip: Path, cli: Any, words: list[str], says: str) -> None:
    code, _, said = cli("annotate", nano_bundle, *(word.replace("{clip}", str(clip)) for word in words))
    assert code == 2
    assert says in said
    assert said.count("\n") == 1
