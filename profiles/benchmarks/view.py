"""What a live view costs, and how long a click takes to be a mask on the screen.

    python profiles/benchmarks/view.py [--bundle nano.bundle] [--rounds 5] [--clicks 20] [--write]

Cost: `masklet run --masks` of a clip of 640 x 480 pixels with one object, one thread, as a process: without a view,
with one that nobody looks at, with one viewer, and with a hundred; they take turns, figures are medians. CPU time of a
frame, which a busy machine hardly changes, is that of a run of all frames less that of one of the first few. Viewers
are another process on the same machine that asks for the next frame as soon as one has come, and throws it away: a
browser that draws runs elsewhere, as a rule. Click: headless Chromium on the page of an endless scene at 15 frames/s,
from the pointer's event to the first frame on the screen whose mask covers the click. Without a bundle
it exports the nano checkpoint at 256 px. --write keeps the tables in view.md beside this file.
"""

import argparse
import asyncio
import datetime
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from masklet.profiles.benchmarks.calibration import MASKLET
from masklet.profiles.machine.device import conditions, device
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.overlay_video import OverlayVideo

HERE = Path(__file__).parent
NANO = HERE.parents[1] / "demos" / "nano"
sys.path.insert(0, str(NANO))

from clicks import centre_click  # noqa: E402
from live_scene import KIND, SEED  # noqa: E402
from scenes import render  # noqa: E402

SIZE, FRAMES, FIRST, RATE = (640, 480), 160, 8, 15.0
SHOWN = 30  # frames a second that a viewer gets at most
SCENE_FRAMES, LARGE = 40, 1  # of the demo's scene, until it turns back; its large object
WAYS = {"no view": None, "nobody looks": 0, "one viewer": 1, "a hundred viewers": 100}
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]

# Resolves with the milliseconds from the next click to the first frame whose mask covers it, and the frames in between;
# with null where none comes in five seconds.
MEASURE = """() => new Promise((done) => {
  const stage = document.getElementById("stage"), masks = document.getElementById("masks");
  stage.addEventListener("pointerdown", (event) => {
    const began = performance.now(), seen = Number(stage.dataset.frame), box = stage.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * masks.width;
    const y = (event.clientY - box.top) / box.height * masks.height;
    setTimeout(() => done(null), 5000);
    const look = new MutationObserver(() => {
      if (!masks.getContext("2d").getImageData(x, y, 1, 1).data[3]) return;
      look.disconnect();
      requestAnimationFrame(() => done([performance.now() - began, Number(stage.dataset.frame) - seen]));
    });
    look.observe(stage, { attributeFilter: ["data-frame"] });
  }, { once: true, capture: true });
})"""


def main() -> None:
    """Measure, print and perhaps write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clicks", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--view-as", nargs=2, metavar=("PORT", "COUNT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.view_as:
        asyncio.run(look(*map(int, given.view_as)))
        return
    with tempfile.TemporaryDirectory() as folder:
        bundle, clip = given.bundle or exported(Path(folder)), Path(folder) / "clip.mp4"
        draw_clip(clip)
        costs: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way, viewers in WAYS.items():
                costs[way].append(cost(bundle, clip, viewers))
                print("{}: {:.1f} frames/s, {:.1f} ms of CPU a frame".format(way, *costs[way][-1]), file=sys.stderr)
        clicks = measured_clicks(bundle, given.clicks)
    text = report(costs, clicks)
    print(text)
    if given.write:
        (HERE / "view.md").write_text(text)


def exported(folder: Path) -> Path:
    """The nano checkpoint's bundle at 256 px."""
    subprocess.run(
        [MASKLET, "export", NANO / "checkpoint", "-o", folder / "nano.bundle", "--image-size", "256"], check=True
    )
    return folder / "nano.bundle"


def draw_clip(path: Path) -> None:
    """The demo's scene, forth and back, stretched to 640 x 480."""
    import cv2

    scene = [
        np.asarray(cv2.resize(image, SIZE), np.uint8) for image in render(KIND, SEED, SIZE[1], SCENE_FRAMES).frames
    ]
    loop = [*scene, *scene[-2:0:-1]]
    nothing = np.zeros((0, SIZE[1], SIZE[0]), bool), np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    with OverlayVideo(path, 30.0) as video:
        for n in range(FRAMES):
            masks, boxes, scores = nothing
            result = FrameResult(n, n / 30, np.zeros(0, np.int64), masks, boxes, scores)
            video.write(Frame(n, n / 30, loop[n % len(loop)]), result)


def cost(bundle: Path, clip: Path, viewers: int | None) -> tuple[float, float]:
    """Frames a second of a run of the clip, and milliseconds of CPU time of a frame. viewers: None for no view."""
    _, start_s = run_clip(bundle, clip, viewers, FIRST)
    rate, whole_s = run_clip(bundle, clip, viewers, FRAMES)
    return rate, 1e3 * (whole_s - start_s) / (FRAMES - FIRST)


def run_clip(bundle: Path, clip: Path, viewers: int | None, frames: int) -> tuple[float, float]:
    """Frames a second, and the seconds of CPU time of the whole process."""
    port = free_port()
    x, y = centre_click(render(KIND, SEED, SIZE[1], 1).labels[0] == LARGE)
    words = [MASKLET, "run", bundle, clip, "--point", f"{x * SIZE[0] / SIZE[1]:.0f},{y:.0f}", "--end", frames]
    words += ["--threads", 1]  # threads of a stage that wait for each other would count as work
    words += ["--masks", clip.with_name("masks.jsonl"), "--log-json", *([] if viewers is None else ["--view", port])]
    watch = None
    if viewers:
        watch = subprocess.Popen([sys.executable, __file__, "--view-as", str(port), str(viewers)])
        time.sleep(1.0)
    log = clip.with_name("log")
    try:
        with log.open("w") as file:
            run = subprocess.Popen([*map(str, words)], stdout=subprocess.DEVNULL, stderr=file)
            _, status, used = os.wait4(run.pid, 0)
    finally:
        if watch is not None:
            watch.terminate()
            watch.wait()
    if status:
        raise SystemExit(log.read_text())
    ended = [json.loads(line) for line in log.read_text().splitlines() if '"ended"' in line]
    return float(ended[-1]["frames_per_s"]), used.ru_utime + used.ru_stime


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


async def look(port: int, count: int) -> None:
    """So many viewers, each of which asks for frames as fast as they come, until the server goes."""
    from websockets.asyncio.client import connect

    async def viewer() -> None:
        while True:
            with suppress(OSError):
                async with connect(f"ws://127.0.0.1:{port}/api/socket", compression=None, max_size=None) as socket:
                    await socket.send('{"type": "show", "streams": {"1": 640}}')
                    for _ in range(2):
                        await socket.send('{"type": "next"}')
                    async for message in socket:
                        if isinstance(message, bytes):
                            await socket.send('{"type": "next"}')
                    return
            await asyncio.sleep(0.2)

    await asyncio.gather(*(viewer() for _ in range(count)))


def measured_clicks(bundle: Path, count: int) -> list[tuple[float, int] | None]:
    """Milliseconds from click to mask, and frames from the one seen to the one that shows it; None for none."""
    from playwright.sync_api import sync_playwright

    port, side = free_port(), SIZE[1]
    scene = subprocess.Popen(
        [sys.executable, NANO / "live_scene.py", "--size", str(side), "--rate", str(RATE)], stdout=subprocess.PIPE
    )
    words = ["run", bundle, "-", "--size", f"{side}x{side}", "--rate", RATE, "--newest", "--view", port]
    run = subprocess.Popen([MASKLET, *map(str, words)], stdin=scene.stdout, stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        url = run.stdout.readline().strip()
        with sync_playwright() as driver:
            path = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))))
            browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(url)
            page.locator("#stage[data-frame]").wait_for()
            labels = render(KIND, SEED, side, SCENE_FRAMES).labels
            found = [one_click(page, url, [frame == LARGE for frame in labels]) for _ in range(count + 2)]
            browser.close()
    finally:
        run.send_signal(signal.SIGINT)
        scene.kill()
        run.wait()
    return found[2:]  # the first ones warm up


def one_click(page: Any, url: str, large: list[Any]) -> tuple[float, int] | None:
    """Click on the scene's large object, whose masks are given; it is removed again."""
    waiting = page.evaluate_handle(f"() => {{ const found = ({MEASURE})(); return {{ found }}; }}")
    box = page.locator("#stage").bounding_box()
    turned = (int(page.locator("#stage").get_attribute("data-frame")) + 1) % (2 * SCENE_FRAMES - 2)
    x, y = centre_click(large[min(turned, 2 * SCENE_FRAMES - 2 - turned)])
    page.mouse.click(box["x"] + x / SIZE[1] * box["width"], box["y"] + y / SIZE[1] * box["height"])
    found = page.evaluate("(waiting) => waiting.found", waiting)
    page.keyboard.press("Escape")
    for one in json.loads(urllib.request.urlopen(url + "api/streams/1/objects").read()):
        gone = urllib.request.Request(f"{url}api/streams/1/objects/{one['id']}", method="DELETE")
        urllib.request.urlopen(gone).read()
    page.wait_for_selector("#no-objects:visible")
    return None if found is None else (float(found[0]), int(found[1]))


def report(costs: dict[str, list[tuple[float, float]]], tried: list[tuple[float, int] | None]) -> str:
    """The page."""
    clicks = [one for one in tried if one is not None]
    here = device()
    medians = {way: [statistics.median(column) for column in zip(*found, strict=True)] for way, found in costs.items()}
    plain = medians["no view"][1]
    rows = []
    for way, (rate, ms) in medians.items():
        more = ms - plain
        share = f"{100 * more * SHOWN / 1e3 / here.cores:+.1f} %" if WAYS[way] is not None else ""
        rows.append(f"| {way} | {rate:.1f} | {ms:.1f} | {share} |")
    ms = sorted(one for one, _ in clicks)
    allowed = 2e3 / RATE + 150
    figures = (
        ("median", statistics.median(ms)),
        ("90 of 100", ms[int(0.9 * len(ms))]),
        ("slowest", ms[-1]),
    )
    said = "\n".join(f"| {name} | {value:.0f} | {allowed:.0f} |" for name, value in figures)
    later = statistics.median(frames for _, frames in clicks)
    load = conditions().load_average
    where = f"{here.cpu}, {here.cores} cores, load {'unknown' if load is None else load[0]}"
    lines = [
        "# A live view: its cost, and a click's way to the screen\n",
        f"{datetime.date.today()}, {where}. nano at 256 px, one object, one thread a stage.",
        "`python profiles/benchmarks/view.py --write`\n",
        f"{len(costs['no view'])} rounds in turns of {FRAMES} frames of {SIZE[0]} x {SIZE[1]} pixels, medians.",
        "Viewers are on the same machine. Cost: the additional CPU time of",
        f"{SHOWN} frames, which a viewer gets a second at most,",
        "as a share of all cores: so much slower is a pipeline that uses all of them. Wanted are 0 without a",
        "viewer and 5 % at most with one. Frames/s are as the load of the machine left them.\n",
        "| view | frames/s | ms of CPU a frame | cost |",
        "| --- | ---: | ---: | ---: |",
        *rows,
        f"\n{len(tried)} clicks in Chromium, on the same machine, on a stream of {RATE:.0f} frames/s: from the",
        "pointer's event to the first frame on the screen whose mask covers the click. Allowed are two frames and",
        f"150 ms. The mask is on frame {later:+.0f} from the one that was clicked on (median);",
        f"{len(tried) - len(clicks)} clicks had no mask in five seconds.\n",
        "| click to mask | ms | allowed |",
        "| --- | ---: | ---: |",
        said,
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
