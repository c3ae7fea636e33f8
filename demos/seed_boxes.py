"""A detector in a process of its own: every second it gives a running view a box for whatever is not tracked yet.

    masklet run tiny.bundle rtsp://camera/stream --newest --view 8000
    python demos/seed_boxes.py http://127.0.0.1:8000/

The detector finds what moves in front of a camera that does not, or is the function `detect` of a file of your own:
--detector FILE.py. It is called with a frame [H, W, 3] uint8 RGB and returns boxes (left, top, right, bottom) in its
pixels. A detection that lies in the masks of tracked objects is known; any other becomes a new one. What was added here
and then out of sight for --forget frames is removed. The address is what `masklet run --view` printed, with its token
where it has one.
"""

import argparse
import json
import runpy
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[float, float, float, float]
Detector = Callable[[Image], Iterable[Box]]

KNOWN = 0.3  # share of a box in the masks of tracked objects from which it is known
LEAST = 0.002  # share of the picture that a moving thing covers at least
MOST = 8  # objects from here that are tracked at a time
SHAKEN = 0.3  # share of the picture that differs where the camera itself moved, or the light changed
LEARN = 20  # pictures of which the background is learned


class View:
    """The control API of a stream, as far as a detector needs it; /api/openapi.json describes all of it."""

    def __init__(self, address: str, stream: int) -> None:
        address, _, token = address.partition("#token=")
        self._root = f"{address.rstrip('/')}/api/streams/{stream}"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._added = -1  # the frame that shows what was added last

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        """The answer's bytes. Raises HTTPError, whose body says in one line what was wrong."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._root + path, data, self._headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())

    def picture(self) -> Image:
        """The newest frame [H, W, 3] uint8 RGB."""
        encoded = np.frombuffer(self.ask("GET", "/picture"), np.uint8)
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB), np.uint8)

    def tracked(self) -> Mask:
        """Where any tracked object is [H, W], once there is a result with what was added last."""
        while (result := json.loads(self.ask("GET", "/result")))["frame"] < self._added:
            time.sleep(0.02)
        masks = [coco.decode(one["segmentation"]) for one in result["objects"]]
        return np.asarray(np.any([np.zeros(result["size"], np.uint8), *masks], axis=0), np.bool_)

    def add(self, box: Box) -> int:
        """Track what is in a box; returns its id."""
        done = json.loads(self.ask("POST", "/objects", {"box": [float(edge) for edge in box]}))
        self._added = int(done["frame"])
        return int(done["object"])

    def remove_lost(self, ids: set[int], unseen: int) -> None:
        """Stop tracking those of `ids` that have been out of sight for more than `unseen` frames."""
        objects = json.loads(self.ask("GET", "/objects"))
        for one in objects:
            if one["id"] in ids and one["unseen"] > unseen:
                self.ask("DELETE", f"/objects/{one['id']}")
        ids &= {one["id"] for one in objects}


class Moving:
    """Boxes around what differs from the background, as OpenCV's MOG2 learns it (Zivkovic, 2004)."""

    def __init__(self) -> None:
        self._background = cv2.createBackgroundSubtractorMOG2(LEARN, detectShadows=False)
        self._seen = 0

    def __call__(self, image: Image) -> list[Box]:
        moved = self._background.apply(cv2.GaussianBlur(image, (5, 5), 0))
        self._seen += 1
        if self._seen <= LEARN // 4 or np.count_nonzero(moved) > SHAKEN * moved.size:
            return []  # everything is new
        side = max(3, min(image.shape[:2]) // 60) | 1
        whole = cv2.morphologyEx(
            cv2.morphologyEx(moved, cv2.MORPH_OPEN, np.ones((3, 3))), cv2.MORPH_CLOSE, np.ones((side, side))
        )
        _, _, stats, _ = cv2.connectedComponentsWithStats(whole)
        return [(x, y, x + w, y + h) for x, y, w, h, area in stats[1:].tolist() if area >= LEAST * moved.size]


def seed(view: View, detect: Detector, ids: set[int], forget: int) -> None:
    """Look once, and add what is new. ids: of what was added here."""
    view.remove_lost(ids, forget)
    found, tracked = list(detect(view.picture())), view.tracked()
    for left, top, right, bottom in found:
        place = np.s_[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
        if len(ids) < MOST and tracked[place].mean() < KNOWN:
            tracked[place] = True
            ids.add(number := view.add((left, top, right, bottom)))
            print(f"object {number}: {left:.0f}, {top:.0f}, {right:.0f}, {bottom:.0f}", flush=True)


def main() -> None:
    """Look every second until the stream ends."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of the view, as masklet printed it")
    parser.add_argument("--stream", type=int, default=1)
    parser.add_argument("--detector", type=Path, metavar="FILE.py", help="a file with a function detect(image)")
    parser.add_argument("--every", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--forget", type=int, default=300, metavar="FRAMES")
    given = parser.parse_args()
    detect: Detector = runpy.run_path(str(given.detector))["detect"] if given.detector else Moving()
    view, ids = View(given.address, given.stream), set[int]()
    while True:
        began_s = time.monotonic()
        try:
            seed(view, detect, ids, given.forget)
        except urllib.error.HTTPError as error:
            print(json.loads(error.read())["error"], flush=True)
            if error.code in (401, 403, 409):  # not allowed, or the stream has ended
                return
        except OSError:
            print("the view cannot be reached; the run is over", flush=True)
            return
        time.sleep(max(0.0, began_s + given.every - time.monotonic()))


if __name__ == "__main__":
    main()
