"""The example of a detector in another process: it finds what is there, once, and ends with the stream."""

import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from viewed_run import viewed_run

SCRIPT = Path(__file__).parents[2] / "demos" / "seed_boxes.py"
DETECTOR = """
import cv2
import numpy as np

def detect(image):
    boxes = []
    for colour in ((230, 40, 60), (30, 200, 220)):
        near = np.abs(image.astype(int) - colour).max(axis=2) < 40
        _, _, stats, _ = cv2.connectedComponentsWithStats(near.astype(np.uint8))
        boxes += [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area > 400]
    return boxes
"""


@contextmanager
def seeding(address: str, *words: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, SCRIPT, address, "--every", 0.1, *words]
    with subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_detector_in_another_process_seeds_boxes(nano_bundle: Path, tmp_path: Path) -> None:
    detector = tmp_path / "detector.py"
    detector.write_text(DETECTOR)
    with viewed_run(nano_bundle, token="t" * 24) as run, seeding(run.view.private_url, "--detector", detector) as seeds:
        run.wait_for(lambda: len(run.books[0].live) >= 2)
        sizes = [np.subtract(one.box[2:], one.box[:2]) for one in run.books[0].live[:2] if one.box]
        assert np.allclose(sizes, [[37, 37], [45, 45]], atol=5), "the two discs"
        run.wait_for(lambda: {1, 2} <= set(run.results[0].by_frame[max(run.results[0].by_frame)].object_ids))
        run.view.close()
        said, errors = seeds.communicate(timeout=30)
    assert errors == ""
    assert [line.split(":")[0] for line in said.splitlines()[:2]] == ["object 1", "object 2"]


class FakeView:
    """A view whose tracked objects are what was added."""

    def __init__(self) -> None:
        self.boxes: list[tuple[float, ...]] = []

    def picture(self) -> Any:
        return np.zeros((100, 100, 3), np.uint8)

    def tracked(self) -> Any:
        mask = np.zeros((100, 100), bool)
        for left, top, right, bottom in self.boxes:
            mask[int(top) : int(bottom), int(left) : int(right)] = True
        return mask

    def add(self, box: tuple[float, ...]) -> int:
        self.boxes.append(box)
        return len(self.boxes)

    def remove_lost(self, ids: set[int], unseen: int) -> None: ...


def test_what_is_tracked_is_not_seeded_again() -> None:
    seed, view, ids = runpy.run_path(str(SCRIPT))["seed"], FakeView(), set[int]()
    first, same, other = (10, 10, 40, 40), (14, 12, 43, 41), (60, 60, 80, 80)
    seed(view, lambda image: [first, same], ids, 10)
    seed(view, lambda image: [same, other], ids, 10)
    assert view.boxes == [first, other]
    assert ids == {1, 2}


def test_what_moves_is_found_and_what_stands_is_not() -> None:
    moving = runpy.run_path(str(SCRIPT))["Moving"]()
    still = np.random.default_rng(0).integers(60, 90, (120, 160, 3)).astype(np.uint8)
    still[10:40, 10:40] = 200
    assert [moving(still) for _ in range(10)] == [[]] * 10
    passing = still.copy()
    passing[60:100, 80:120] = (230, 40, 60)
    [(left, top, right, bottom)] = moving(passing)
    assert np.allclose((left, top, right, bottom), (80, 60, 120, 100), atol=3)


def test_without_the_token_it_says_what_to_do(nano_bundle: Path) -> None:
    with viewed_run(nano_bundle, token="t" * 24) as run, seeding(run.url) as seeds:
        said, errors = seeds.communicate(timeout=30)
    assert (errors, seeds.returncode) == ("", 0)
    assert "needs its token" in said
