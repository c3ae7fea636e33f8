"""EfficientTAM: a tracked frame, and its two large stages against its authors' own code.

    python profiles/benchmarks/efficienttam.py [--bundles FOLDER] [--rounds N] [--threads N] [--write]

Random weights of efficienttam_ti, _ti_1 and _ti_512x512. FOLDER has a bundle of each, NAME.bundle; what is not given is
exported first. Needs the package that the Makefile installs apart. What is compared takes turns; figures are medians.
--write keeps the table in efficienttam.md beside this file.
"""

import argparse
import datetime
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from efficienttam_checkpoints import efficienttam_config, random_efficienttam  # noqa: E402
from masklet.export.families.efficienttam import FAMILY  # noqa: E402
from masklet.export.families.layouts.efficienttam import SUFFIXES  # noqa: E402
from masklet.export.family import Case  # noqa: E402
from masklet.export.pipeline import export_bundle  # noqa: E402
from masklet.profiles.benchmarks.image import FULL_BANK, scene  # noqa: E402
from masklet.profiles.benchmarks.stages import alternate, cpu_name  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Points  # noqa: E402
from masklet.runtime.results import Frame  # noqa: E402
from masklet.runtime.tracking.video_tracker import VideoTracker  # noqa: E402
from meta_efficienttam import meta_efficienttam  # noqa: E402
from meta_stages import run_stage  # noqa: E402

MODELS = ("", "_1", "_512x512")
BANK = Case("", {"objects": 1, "memories": FULL_BANK - 1, "pointers": FULL_BANK - 1})


def rows(suffix: str, folder: Path, runtime: OnnxRuntime, rounds: int) -> Iterator[str]:
    """The lines of a model; its bundle is in the folder, or is written there."""
    side, attention = SUFFIXES[suffix]
    model = random_efficienttam(efficienttam_config("ti", side=side, attention=attention))
    name = f"efficienttam_ti{suffix}"
    bundle = folder / f"{name}.bundle"
    if not bundle.is_dir():
        model.save_pretrained(folder / name)
        export_bundle(str(folder / name), bundle)
    with Sessions.open(Bundle.load(bundle, check_hashes=False), runtime) as sessions:
        yield f"| {name} | a tracked frame, one object | {1000 * frame_seconds(sessions, rounds):.0f} | | |"
        predictor = meta_efficienttam(model)
        for stage in FAMILY.stages(model):
            if stage.spec.name in ("image_encoder", "memory_attention"):
                yield f"| {name} | {stage.spec.name} | {compared(sessions, stage, predictor, rounds)} |"


def frame_seconds(sessions: Sessions, rounds: int) -> float:
    """Median of a tracked frame with seven memories."""
    tracker, image = VideoTracker(sessions), scene()
    for t in range(FULL_BANK):
        tracker.step(Frame(t, t / 30, image), {1: Points.click(600, 300)} if t == 0 else {})
    return alternate(lambda: tracker.step(Frame(FULL_BANK, 1.0, image)), lambda: None, rounds)[0]


def compared(sessions: Sessions, stage: Any, predictor: Any, rounds: int) -> str:
    """Milliseconds of a stage here and in its authors' code, and how many times as long that takes."""
    name = stage.spec.name
    feeds = stage.feeds(BANK if name == "memory_attention" else stage.cases[0], 0)
    theirs, ours = alternate(lambda: run_stage(predictor, name, feeds), lambda: sessions.run(name, feeds), rounds)
    return f"{1000 * ours:.0f} | {1000 * theirs:.0f} | {theirs / ours:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundles", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "onnxruntime"))
    lines = [
        "# EfficientTAM",
        "",
        f"{datetime.date.today().isoformat()}, {cpu_name()}, {given.threads} threads, load average "
        f"{os.getloadavg()[0]:.1f}, FP32. {versions}. Random weights; seven memories. Its authors' code is "
        "`efficient-track-anything` 1.0 in torch. `python profiles/benchmarks/efficienttam.py --write`",
        "",
        "| model | what | ms | its authors' code, ms | ratio |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        for suffix in MODELS:
            for line in rows(suffix, given.bundles or Path(scratch), OnnxRuntime(given.threads), given.rounds):
                print(line, flush=True)
                lines.append(line)
    if given.write:
        (HERE / "efficienttam.md").write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
