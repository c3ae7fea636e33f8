"""The whole of masklet in two minutes, offline: export the nano checkpoint, track two clicked objects, profile.

    python demos/nano/demo.py -o out/demo

Prints each command as it runs it, then how well the masks agree with the scene's true ones.
"""

import argparse
import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
from clicks import centre_click
from masklet.calibration.scoring.accuracy import Accuracy, accuracy, mean_accuracy
from numpy.typing import NDArray
from pycocotools import mask as coco
from scenes import HELD_OUT_SEED, Clip, render

HERE = Path(__file__).parent
KIND, SEED, SIZE, FRAMES = "cluttered", HELD_OUT_SEED + 103, 256, 40
SUFFIX = {"json": "json", "trace": "trace.json", "html": "html"}
SHOWN = (0, 12, 19, 30, 39)  # frames of the picture


def run(*words: object) -> None:
    """Run a command of the command line, showing it first."""
    line = [str(word) for word in words]
    print(f"\n$ {' '.join(line)}", flush=True)
    subprocess.run(line, check=True)


def score(clip: Clip, masks: Path) -> dict[int, Accuracy]:
    """J and F of each object over the frames in which it can be seen, from the masks that a run wrote."""
    each: dict[int, list[Accuracy]] = {label: [] for label in clip.ids}
    for line in masks.read_text().splitlines():
        told = json.loads(line)
        for found in told["objects"]:
            true = clip.labels[told["frame"]] == found["id"]
            if true.any():
                each[found["id"]].append(accuracy(coco.decode(found["segmentation"]).astype(bool), true))
    return {label: mean_accuracy(frames) for label, frames in each.items()}


def picture(overlay: Path, path: Path) -> None:
    """Some frames of the overlay side by side."""
    video = cv2.VideoCapture(str(overlay))
    frames: list[NDArray[np.uint8]] = []
    while (read := video.read())[0]:
        frames.append(read[1].astype(np.uint8))
    cv2.imwrite(str(path), np.concatenate([frames[index] for index in SHOWN], axis=1))


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/demo"))
    out = parser.parse_args().output
    out.mkdir(parents=True, exist_ok=True)
    bundle, scene, overlay, masks = out / "nano.bundle", out / "scene", out / "overlay.mp4", out / "masks.jsonl"

    run("masklet", "export", HERE / "checkpoint", "-o", bundle, "--force")
    run("python", HERE / "scenes.py", KIND, "--seed", SEED, "--size", SIZE, "--frames", FRAMES, "-o", scene)
    clip = render(KIND, SEED, SIZE, FRAMES)
    clicks = [
        word
        for label in clip.ids
        for word in ("--point", "{}:{:.0f},{:.0f}".format(label, *centre_click(clip.labels[0] == label)))
    ]
    run("masklet", "run", bundle, scene / "frames", *clicks, "-o", overlay, "--masks", masks)
    reports = [word for kind in ("json", "trace", "html") for word in (f"--{kind}", out / f"profile.{SUFFIX[kind]}")]
    run("masklet", "profile", bundle, scene / "frames", *clicks, *reports)

    print("\nagreement with the scene's true masks (one click an object):")
    for label, found in score(clip, masks).items():
        print(f"  object {label}: J {found.J:.3f}  F {found.F:.3f}  J&F {found.JF:.3f}")
    picture(overlay, out / "overlay.png")
    print(f"\nlook at {overlay}, {out / 'overlay.png'} and {out / 'profile.html'}")
    print("\nsee it live in a browser, and click on objects yourself: `make view` runs this (it needs masklet[view]):")
    print(f"  python {HERE / 'live_scene.py'} | masklet run {bundle} - --size 480x480 --rate 12 --view 8000")


if __name__ == "__main__":
    main()
