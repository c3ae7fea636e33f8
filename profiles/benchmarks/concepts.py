"""Host work of a frame with concepts, next to the plain forms of it: 5 and 50 objects at 1280x720.

    python profiles/benchmarks/concepts.py [--rounds N] [--write]

The masks are made up, so that neither weights nor a video are needed: smooth blobs at the resolution of SAM 3 (288 px)
as a detector and a tracker would give them, half of them with holes and specks. A hard scene has masks that each cover
half of the frame in pieces. The steps run in the order of a frame; the plain forms are those of the reference, in numpy
and OpenCV, on whole masks: they take turns with ours. Medians of CPU time on one thread, which others on the machine
hardly change; --write keeps the table in concepts.md beside this file.
"""

import argparse
import datetime
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from masklet.profiles.machine.device import device
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.concepts.associate import associate
from masklet.runtime.concepts.delayed_results import PendingConcepts, Shown
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.overlaps import kept_share, recently_occluded
from masklet.runtime.pixels.mask_cleaning import clean
from masklet.runtime.pixels.packed_masks import PackedMasks, suppress
from masklet.runtime.results import Frame

HERE = Path(__file__).parent
LOW, HEIGHT, WIDTH = 288, 720, 1280
OPTIONS = ConceptOptions()
TARGETS = {5: 10.0, 50: 60.0}  # ms a frame
Steps = dict[str, Callable[[], object]]


def scene(count: int, rng: np.random.Generator, offset: float) -> Tensor:
    """Logits [count, LOW, LOW] of objects between a hundredth and a quarter of the frame's width across."""
    rows, columns = np.mgrid[:LOW, :LOW].astype(np.float32)
    places = np.random.default_rng(7).uniform(20, LOW - 20, (count, 2)) + offset
    sizes = np.exp(np.random.default_rng(8).uniform(np.log(3), np.log(36), (count, 2)))
    masks = np.empty((count, LOW, LOW), np.float32)
    for n, ((x, y), (a, b)) in enumerate(zip(places, sizes, strict=True)):
        rough = cv2.resize(rng.standard_normal((LOW // 8, LOW // 8)).astype(np.float32), (LOW, LOW))
        masks[n] = np.clip(8 * (1 - ((columns - x) / a) ** 2 - ((rows - y) / b) ** 2) + rough, -20, 20)
        if n % 2:
            for _ in range(3):
                px, py = (int(np.clip(c + rng.uniform(-s, s), 0, LOW - 3)) for c, s in ((x, a), (y, b)))
                masks[n, py : py + 3, px : px + 3] *= -0.5
    return masks


def hard_scene(count: int, rng: np.random.Generator, offset: float) -> Tensor:
    """Logits of masks in pieces over the whole frame."""
    coarse = rng.standard_normal((count, LOW // 8, LOW // 8)).astype(np.float32)
    return np.stack([cv2.resize(one, (LOW, LOW)) for one in coarse])


def ours(found: Tensor, tracked: Tensor, scores: Tensor) -> Steps:
    """A frame's steps as the tracker takes them."""
    frame = Frame(0, 0.0, np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    state: dict[str, Any] = {}
    last = np.full(len(tracked), -1, np.int64)

    def suppressed() -> None:
        packed = PackedMasks.of(found)
        state["found"] = packed[suppress(packed.iou(packed), scores, OPTIONS.suppress_overlap)]

    def cleaned() -> None:
        state["logits"] = clean(np.concatenate([tracked]), OPTIONS.clean_area)  # as they come from several batches
        state["tracks"] = PackedMasks.of(state["logits"])

    def associated() -> None:
        ious = state["found"].iou(state["tracks"])
        ids = list(range(1, len(tracked) + 1))
        associate(scores[: len(ious)], ious, ids, state["tracks"].nonempty, OPTIONS)

    def overlaps() -> None:
        recently_occluded(state["tracks"].iou(state["tracks"]), last, OPTIONS.occlusion_overlap)
        kept_share(list(state["logits"]), state["tracks"].boxes, state["tracks"].areas)

    def result() -> None:
        shown = {n + 1: Shown.of(logits, 0.9, 0.9, 0, 0.9) for n, logits in enumerate(state["logits"])}
        PendingConcepts(frame, ["car"], shown).result()

    return {
        "suppression of detections": suppressed,
        "holes and specks": cleaned,
        "association": associated,
        "overlaps of tracks": overlaps,
        "masks of 1280x720, apart, boxes": result,
    }


def plain(found: Tensor, tracked: Tensor, scores: Tensor) -> Steps:
    """The same on whole masks, as the reference does it."""
    state: dict[str, Tensor] = {}

    def iou(a: Tensor, b: Tensor) -> Tensor:
        x, y = (m.reshape(len(m), -1).astype(np.float32) for m in (a, b))
        shared = x @ y.T
        return np.asarray(shared / np.maximum(x.sum(1)[:, None] + y.sum(1)[None] - shared, 1))

    def suppressed() -> None:
        mask = found > 0
        state["found"] = mask[suppress(iou(mask, mask), scores, OPTIONS.suppress_overlap)]

    def cleaned() -> None:
        out = tracked.copy()
        for one in out:
            for foreground, value in ((False, 0.1), (True, -0.1)):
                mask = one > 0 if foreground else one <= 0
                _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
                most = min(OPTIONS.clean_area, int(mask.sum()) // 2) if foreground else OPTIONS.clean_area
                small = stats[:, cv2.CC_STAT_AREA] <= most
                small[0] = False
                one[small[labels]] = value
        state["tracks"] = out

    def associated() -> None:
        iou(state["found"], state["tracks"] > 0)

    def overlaps() -> None:
        masks = state["tracks"] > 0
        iou(masks, masks)
        wins = state["tracks"].argmax(axis=0) == np.arange(len(masks))[:, None, None]
        (wins & masks).sum(axis=(1, 2))

    def result() -> None:
        masks = np.stack([cv2.resize(one, (WIDTH, HEIGHT)) > 0 for one in state["tracks"]])
        single = np.where(masks, np.float32(0.9), np.float32(0))
        masks &= single.argmax(axis=0) == np.arange(len(masks))[:, None, None]
        for mask in masks:
            cv2.boundingRect(mask.view(np.uint8))

    names = ours(found, tracked, scores)
    return dict(zip(names, (suppressed, cleaned, associated, overlaps, result), strict=True))


def measure(forms: list[Steps], rounds: int) -> list[dict[str, float]]:
    """Milliseconds of each step of each form, medians of rounds in which the forms take turns."""
    times: list[dict[str, list[float]]] = [{name: [] for name in form} for form in forms]
    for round_number in range(rounds + 1):
        for form, noted in zip(forms, times, strict=True):
            for name, step in form.items():
                began = time.thread_time()
                step()
                if round_number:  # the first warms up
                    noted[name].append((time.thread_time() - began) * 1e3)
    return [{name: statistics.median(values) for name, values in noted.items()} for noted in times]


def table(title: str, count: int, found: dict[str, float], naive: dict[str, float]) -> list[str]:
    """The rows of one scene."""
    whole, whole_naive = sum(found.values()), sum(naive.values())
    target = f", wanted at most {TARGETS[count]:.0f}" if title == "scene" else ""
    return [
        f"## {count} objects, {title}",
        "",
        "| step | ms | plain form, ms | ratio |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {n} | {ms:.2f} | {naive[n]:.2f} | {naive[n] / ms:.1f} |" for n, ms in found.items()),
        f"| **frame**{target} | **{whole:.1f}** | {whole_naive:.1f} | {whole_naive / whole:.1f} |",
        "",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    here = device()
    lines = [
        "# Host time of a frame with concepts",
        "",
        f"{datetime.date.today().isoformat()}, {here.cpu}, {here.cores} cores. Masks of {LOW} px, frames of "
        f"{WIDTH}x{HEIGHT}, CPU time of one thread, medians of {given.rounds} rounds in turns. "
        "`python profiles/benchmarks/concepts.py --write`",
        "",
    ]
    for title, make in (("scene", scene), ("hard scene", hard_scene)):
        for count in TARGETS:
            rng = np.random.default_rng(0)
            found, tracked = make(count, rng, 0.0), make(count, rng, 1.5)
            scores = rng.uniform(0.5, 1, count).astype(np.float32)
            lines += table(title, count, *measure([f(found, tracked, scores) for f in (ours, plain)], given.rounds))
    text = "\n".join(lines)
    print(text)
    if given.write:
        (HERE / "concepts.md").write_text(text)


if __name__ == "__main__":
    main()
