"""Images and EdgeTAM: a further click, prompts in batches, and EdgeTAM against hiera-tiny and torch eager.

    python profiles/benchmarks/image.py [--sam BUNDLE] [--edgetam FOLDER BUNDLE] [--tiny BUNDLE] [--rounds N]
                                        [--threads N] [--write]

Random weights of real size (SAM ViT-B, EdgeTAM, SAM 2.1 hiera-tiny); what is not given is drawn and exported first.
What is compared takes turns; figures are medians. --write keeps the table in image.md beside this file.
"""

import argparse
import datetime
import importlib.metadata
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from checkpoints import SIZES, random_model, sam2_config, save_checkpoint  # noqa: E402
from edgetam_checkpoints import edgetam_config, random_edgetam  # noqa: E402
from masklet.export.families.edgetam import FAMILY  # noqa: E402
from masklet.export.families.sam2 import MEAN, STD  # noqa: E402
from masklet.export.pipeline import export_bundle  # noqa: E402
from masklet.export.references import sam2_reference  # noqa: E402
from masklet.profiles.benchmarks.stages import alternate, cpu_name  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Points  # noqa: E402
from masklet.runtime.results import Frame  # noqa: E402
from masklet.runtime.segmentation.image_predictor import ImagePredictor  # noqa: E402
from masklet.runtime.tracking.video_tracker import VideoTracker  # noqa: E402
from sam_checkpoints import random_sam, sam_config  # noqa: E402

POINTS, BATCHES = 32, (8, 32)  # prompts that are timed, and how many of them share a call
FULL_BANK = 8  # frames until hiera-tiny attends to seven memories
SCENE_HW = (720, 1280)


@dataclass(frozen=True)
class Row:
    """One comparison: what was measured against what, in seconds, and the factor that was asked for."""

    what: str
    against: str
    slow_s: float
    fast_s: float
    wanted: str

    def __str__(self) -> str:
        ratio = f"{self.slow_s / self.fast_s:.2f}" if self.slow_s else ""
        slow = f"{1000 * self.slow_s:.0f}" if self.slow_s else ""
        return f"| {self.what} | {1000 * self.fast_s:.0f} | {self.against} | {slow} | {ratio} | {self.wanted} |"


def scene() -> Any:
    """A smooth image with some grain, [H, W, 3] uint8."""
    return sam2_reference.draw_image(np.random.default_rng(0), (1, *SCENE_HW, 3))[0]


def clicks(count: int) -> list[Points]:
    """Clicks here and there."""
    rng = np.random.default_rng(2)
    return [Points.click(*xy) for xy in rng.uniform(0, 1, (count, 2)) * [SCENE_HW[1], SCENE_HW[0]]]


def measure_sam(sessions: Sessions, rounds: int) -> list[Row]:
    """A further click on an image that is set; prompts in batches and one at a time."""
    predictor = ImagePredictor(sessions, batch=POINTS)
    embedding = predictor.embed(scene())
    predictor.set_image(embedding)
    click = Points.click(600, 300)
    times = []
    for _ in range(4 * rounds):
        start = time.perf_counter()
        predictor.predict(click)
        times.append(time.perf_counter() - start)
    rows = [Row("SAM: a further click", "", 0.0, statistics.median(times), "at most 60 ms")]
    grid = clicks(POINTS)
    for batch in BATCHES:
        together = ImagePredictor(sessions, batch=batch)
        together.set_image(embedding)
        one_by_one, batched = alternate(
            lambda: [predictor.decode([prompt]) for prompt in grid],
            lambda together=together: together.decode(grid),  # type: ignore[misc]
            rounds,
        )
        rows.append(Row(f"SAM: {POINTS} points, {batch} a call", "1 a call", one_by_one, batched, "2 times faster"))
    return rows


def measure_edgetam(model: Any, edgetam: Sessions, tiny: Sessions, rounds: int) -> list[Row]:
    """A tracked frame with a full bank against hiera-tiny's, and the encoder against torch."""
    image = scene()
    steps: list[Callable[[], Any]] = []
    for sessions in (tiny, edgetam):
        tracker = VideoTracker(sessions)
        for t in range(FULL_BANK):
            tracker.step(Frame(t, t / 30, image), {1: Points.click(600, 300)} if t == 0 else {})
        steps.append(lambda tracker=tracker: tracker.step(Frame(FULL_BANK, 1.0, image)))  # type: ignore[misc]
    frames = alternate(steps[0], steps[1], rounds)
    square = sam2_reference.draw_image(np.random.default_rng(1), (1, 1024, 1024, 3))
    eager = sam2_reference.image_encoder(model, MEAN, STD)
    encoders = alternate(
        lambda: eager({"image": square}), lambda: edgetam.run("image_encoder", {"image": square}), rounds
    )
    return [
        Row("EdgeTAM: a tracked frame, 1 object", "SAM 2.1 hiera-tiny", *frames, "4 times faster"),
        Row("EdgeTAM: image encoder", "torch eager", *encoders, "2 times faster"),
    ]


def report(rows: list[Row], threads: int) -> str:
    """The table, with what is needed to repeat it."""
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "transformers", "onnxruntime"))
    return "\n".join(
        [
            "# Images and EdgeTAM",
            "",
            f"{datetime.date.today().isoformat()}, {cpu_name()}, {threads} threads, load average "
            f"{os.getloadavg()[0]:.1f}, FP32. {versions}. SAM ViT-B, EdgeTAM "
            "and SAM 2.1 hiera-tiny, 1024 px, random weights. What is compared takes turns; medians. "
            "`python profiles/benchmarks/image.py --write`",
            "",
            "| what | ms | against | ms | ratio | asked for |",
            "| --- | ---: | --- | ---: | ---: | --- |",
            *map(str, rows),
            "",
        ]
    )


def bundle_of(given: Path | None, name: str, scratch: Path, draw: Callable[[], Any]) -> Bundle:
    """The bundle that was given, or one that is exported from random weights."""
    if given is None:
        given = scratch / f"{name}.bundle"
        export_bundle(str(save_checkpoint(draw(), scratch / name)), given)
    return Bundle.load(given, check_hashes=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sam", type=Path)
    parser.add_argument("--edgetam", type=Path, nargs=2, default=(None, None))
    parser.add_argument("--tiny", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    folder, edgetam = given.edgetam
    config = edgetam_config(side=1024, small=False)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        runtime = OnnxRuntime(given.threads)
        model = random_edgetam(config) if folder is None else FAMILY.load(str(folder), None)
        sam = bundle_of(given.sam, "sam", scratch, lambda: random_sam(sam_config("base", side=1024)))
        small = bundle_of(edgetam, "edgetam", scratch, lambda: model)
        tiny = bundle_of(given.tiny, "tiny", scratch, lambda: random_model(sam2_config(SIZES["tiny"])))
        with Sessions.open(sam, runtime) as sessions:
            rows = measure_sam(sessions, given.rounds)
            print(*rows, sep="\n", flush=True)
        with Sessions.open(small, runtime) as fast, Sessions.open(tiny, runtime) as slow:
            rows += measure_edgetam(model, fast, slow, given.rounds)
    text = report(rows, given.threads)
    print(text)
    if given.write:
        (HERE / "image.md").write_text(text)


if __name__ == "__main__":
    main()
