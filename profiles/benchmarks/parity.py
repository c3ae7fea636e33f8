"""The exported runtime against the code of the models' authors: every mask of whole videos, and every stage.

    python profiles/benchmarks/parity.py [--clips N] [--only video stages efficienttam] [--write]

Needs the packages of tests/oracle.txt. Videos: the nano that ships, on held-out scenes, its weights in Meta's classes.
Stages: random weights of the published sizes. --write keeps the tables in parity.md beside this file.
"""

import argparse
import datetime
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / folder) for folder in ("tests", "demos/nano")]

from checkpoints import SIZES, random_model, sam2_config  # noqa: E402
from efficienttam_checkpoints import WIDTHS, efficienttam_config, random_efficienttam  # noqa: E402
from evaluate import CHECKPOINT  # noqa: E402
from masklet.export import parity  # noqa: E402
from masklet.export.families import efficienttam  # noqa: E402
from masklet.export.families.layouts.efficienttam import SUFFIXES  # noqa: E402
from masklet.export.families.sam2 import FAMILY  # noqa: E402
from masklet.export.family import ExportStage  # noqa: E402
from masklet.export.pipeline import export_bundle  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.tracking.video_tracker import VideoTracker  # noqa: E402
from meta_efficienttam import meta_efficienttam  # noqa: E402
from meta_sam2 import meta_predictor  # noqa: E402
from meta_stages import STAGES, run_stage  # noqa: E402
from meta_video import SETTINGS, Compared, MetaTracker, play  # noqa: E402
from scenes import KINDS, held_out  # noqa: E402
from torch_sessions import TorchSession  # noqa: E402
from video_scripts import write_script  # noqa: E402

FRAMES = 24
STAGE_SIDE = 512
VIDEO_COLUMNS = ["setting", "scenes", "clips", "masks", "prompted", "corrected"]
VIDEO_COLUMNS += ["identical", "mean IoU", "lowest IoU", "tied pixels"]


def video_rows(clips: int) -> Iterator[str]:
    """A line for each setting and kind of scene, and one for all."""
    model = FAMILY.load(str(CHECKPOINT), None)
    with tempfile.TemporaryDirectory() as folder:
        export_bundle(str(CHECKPOINT), Path(folder) / "nano.bundle")
        sessions = Sessions.open(Bundle.load(Path(folder) / "nano.bundle"), OnnxRuntime(threads=1))
        everything: list[Compared] = []
        for setting in SETTINGS:
            predictor = setting.predictor(model)
            for kind in KINDS:
                compared: list[Compared] = []
                for seed, clip in enumerate(held_out(kind, clips, frames=FRAMES, objects=3)):
                    script = write_script(clip, seed, reverse=seed % 4 == 3)
                    theirs = MetaTracker(predictor, script.frames, reverse=script.reverse)
                    compared += play(script, VideoTracker(sessions, setting.options), theirs)
                yield _line(setting.name, kind, clips, compared)
                everything += compared
        yield _line("**all**", "", clips * len(KINDS), everything)
        sessions.close()


def _line(setting: str, kind: str, clips: int, compared: list[Compared]) -> str:
    ious = np.array([one.iou for one in compared])
    prompted, corrected = (sum(one.moment == moment for one in compared) for moment in ("prompted", "corrected"))
    same, tied = int((ious == 1).sum()), sum(one.tied for one in compared)
    cells = [setting, kind, clips, len(ious), prompted, corrected, f"{same} ({same / len(ious):.2%})"]
    return "| " + " | ".join(map(str, [*cells, f"{ious.mean():.6f}", f"{ious.min():.4f}", tied])) + " |"


def stage_rows() -> Iterator[str]:
    """A line for each published size of SAM 2: the worst relative difference of each stage from Meta's."""
    for version in ("2.0", "2.1"):
        for size, backbone in SIZES.items():
            model = random_model(sam2_config(backbone, side=STAGE_SIDE, version=version))
            yield _stage_row(f"SAM {version} {size}", FAMILY.stages(model), meta_predictor(model))


def efficienttam_rows() -> Iterator[str]:
    """The same for EfficientTAM's two sizes and three attentions to memories."""
    for size, suffix in product(WIDTHS, ("", "_1", "_2")):
        config = efficienttam_config(size, side=STAGE_SIDE, attention=SUFFIXES[suffix][1])
        model = random_efficienttam(config)
        yield _stage_row(f"efficienttam_{size}{suffix}", efficienttam.FAMILY.stages(model), meta_efficienttam(model))


def _stage_row(name: str, stages: Iterable[ExportStage], predictor: Any) -> str:
    worst = {stage.spec.name: _worst(stage, predictor) for stage in stages}
    return f"| {name} | " + " | ".join(f"{worst[stage]:.1e}" for stage in STAGES) + " |"


def _worst(stage: ExportStage, predictor: Any) -> float:
    figures = [0.0]
    for case in stage.cases[:4]:
        seed = next(s for s in range(50) if stage.decided(stage.reference(stage.feeds(case, s))))
        feeds = stage.feeds(case, seed)
        got, wanted = TorchSession(stage).run(feeds), run_stage(predictor, stage.spec.name, feeds)
        for name, reference in wanted.items():
            if name in stage.rounded:
                reference = parity.to_bfloat16(reference)
            figures.append(float(np.linalg.norm(got[name] - reference) / np.linalg.norm(reference)))
    return max(figures)


def _head(*columns: str) -> str:
    return f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}"


TABLES = {
    "video": _head(*VIDEO_COLUMNS),
    "stages": _head("model", *STAGES),
    "efficienttam": _head("model", *STAGES),
}


def main() -> int:
    """Print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(prog="parity.py", description=__doc__)
    parser.add_argument("--clips", type=int, default=16, help="of each kind of scene")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--write", action="store_true", help="keep the tables in parity.md")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    for name in chosen.only:
        rows = []
        print(TABLES[name], flush=True)
        made = {"video": lambda: video_rows(chosen.clips), "stages": stage_rows, "efficienttam": efficienttam_rows}
        for row in made[name]():
            print(row, flush=True)
            rows.append(row)
        if chosen.write:
            _write(name, "\n".join([TABLES[name], *rows]))
    return 0


def _write(name: str, table: str) -> None:
    """Put a table in its place in parity.md, with the day on which it was made."""
    page = HERE / "parity.md"
    text, begin, end = page.read_text(), f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = text.partition(begin)
    after = rest.partition(end)[2]
    day = f"Made on {datetime.date.today():%d %B %Y}."
    page.write_text(f"{before}{begin}{day}\n\n{table}\n{end}{after}")


if __name__ == "__main__":
    raise SystemExit(main())
