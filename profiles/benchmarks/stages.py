"""Each stage in ONNX Runtime against transformers in torch eager, on a random hiera-tiny of real size.

    python profiles/benchmarks/stages.py [--checkpoint FOLDER --bundle BUNDLE] [--rounds N] [--threads N ...] [--write]

The two take turns, A B A B, so that a machine that slows down slows both; figures are medians. Without a checkpoint
and its bundle it draws and exports one first. Several numbers of threads make a table each. --write keeps the tables
in stages.md beside this file.
"""

import argparse
import datetime
import importlib.metadata
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from checkpoints import SIZES, random_model, sam2_config, save_checkpoint  # noqa: E402
from masklet.export.families.sam2 import FAMILY, MEAN, STD  # noqa: E402
from masklet.export.family import Case, ExportStage  # noqa: E402
from masklet.export.pipeline import export_bundle  # noqa: E402
from masklet.export.references import sam2_reference as reference  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402

POINTERS = 16
TRACKED = {"point_labels": -1, "has_mask": 0, "multimask": 1, "memoryless": 0}


@dataclass(frozen=True)
class Row:
    """One stage at one size: seconds a call in torch and in ONNX Runtime, medians."""

    stage: str
    size: str
    torch_s: float
    ort_s: float

    @property
    def ratio(self) -> float:
        return self.torch_s / self.ort_s


def alternate(
    a: Callable[[], Any], b: Callable[[], Any], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Median seconds of two calls that take turns, after one of each to warm up."""
    a(), b()
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for call, taken in zip((a, b), times, strict=True):
            start = clock()
            call()
            taken.append(clock() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def eager_decoder(model: Any, feeds: dict[str, Any]) -> Callable[[], Any]:
    """Prompts, decoder and pointers, all objects in one batch as in a call of the graph; no full-size masks."""
    given = {name: torch.from_numpy(feed) for name, feed in feeds.items()}

    def run() -> Any:
        with torch.inference_mode():
            points, labels = given["point_coords"][:, None, :-1], given["point_labels"][:, None, :-1]
            sparse, dense = model.prompt_encoder(points, labels, None, None)
            objects = len(points)
            position = model.get_image_wide_positional_embeddings().repeat(objects, 1, 1, 1)
            fine = [given[name].repeat(objects, 1, 1, 1) for name in ("feat_s0", "feat_s1")]
            masks, ious, tokens, score = model.mask_decoder(
                image_embeddings=given["image_embed"],
                image_positional_embeddings=position,
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
                high_resolution_features=fine,
            )
            best = ious.argmax(-1)
            rows = torch.arange(objects)[:, None], torch.zeros_like(best), best
            return masks[rows], model.object_pointer_proj(tokens[rows]), score

    return run


def eager_memory_encoder(model: Any, feeds: dict[str, Any]) -> Callable[[], Any]:
    """The mask to full size, which transformers does in the decoder's step, and `_encode_new_memory`."""
    given = {name: torch.from_numpy(feed) for name, feed in feeds.items()}
    objects = len(feeds["low_res_mask"])

    def run() -> Any:
        with torch.inference_mode():
            high = torch.nn.functional.interpolate(
                given["low_res_mask"], size=(model.image_size,) * 2, mode="bilinear", align_corners=False
            )
            vision = given["vision_feat"].flatten(2).permute(2, 0, 1).expand(-1, objects, -1)
            return model._encode_new_memory(vision, high, given["object_score"][:, None], False)

    return run


def measure(model: Any, sessions: Sessions, rounds: int) -> list[Row]:
    """Time every stage at the sizes that a tracked frame has."""
    stages = {stage.spec.name: stage for stage in FAMILY.stages(model)}
    rows = []

    def add(name: str, size: str, case: Case, eager: Callable[[dict[str, Any]], Callable[[], Any]]) -> None:
        stage: ExportStage = stages[name]
        feeds = stage.feeds(case, seed=0)
        times = alternate(eager(feeds), lambda: sessions.run(name, feeds), rounds)
        rows.append(Row(name, size, *times))
        print(
            f"{name:20} {size:24} torch {times[0]:.3f} s   ORT {times[1]:.3f} s   {times[0] / times[1]:.2f}x",
            flush=True,
        )

    encoder = reference.image_encoder(model, MEAN, STD)
    attention = reference.memory_attention(model, model.vision_encoder.neck)
    add("image_encoder", "1024 px", Case("image"), lambda feeds: lambda: encoder(feeds))
    for memories in (1, 3, 7):
        sizes = {"objects": 1, "memories": memories, "pointers": POINTERS}
        add(
            "memory_attention",
            "1 memory" if memories == 1 else f"{memories} memories",
            Case("M", sizes),
            lambda feeds: lambda: attention(feeds),
        )
    for objects in (1, 4):
        case = Case("B", {"objects": objects, "points": 2}, TRACKED)
        add("mask_decoder", _objects(objects), case, lambda feeds: eager_decoder(model, feeds))
    for objects in (1, 4):
        case = Case("B", {"objects": objects}, {"binarize": 0, "object_score": 5})
        add("memory_encoder", _objects(objects), case, lambda feeds: eager_memory_encoder(model, feeds))
    frame = [r for r in rows if r.size in ("1024 px", "7 memories", "1 object")]
    rows.append(Row("whole frame", "1 object, 7 memories", sum(r.torch_s for r in frame), sum(r.ort_s for r in frame)))
    return rows


def report(tables: dict[int, list[Row]], rounds: int) -> str:
    """A table for each number of threads, with what is needed to repeat it."""
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "transformers", "onnxruntime"))
    threads = " ".join(str(count) for count in tables)
    lines = [
        "# Stages: ONNX Runtime against transformers in torch eager",
        "",
        f"{datetime.date.today().isoformat()}, {cpu_name()}, FP32. {versions}. SAM 2.1 hiera-tiny, random weights. "
        f"The two take turns; medians of {rounds}. `python profiles/benchmarks/stages.py --rounds {rounds} "
        f"--threads {threads} --write`",
    ]
    for count, rows in tables.items():
        lines += [
            "",
            f"## {count} thread{'s' if count > 1 else ''}",
            "| stage | size | torch eager, s | ONNX Runtime, s | ratio |",
            "| --- | --- | ---: | ---: | ---: |",
            *(f"| {r.stage} | {r.size} | {r.torch_s:.3f} | {r.ort_s:.3f} | {r.ratio:.2f} |" for r in rows),
        ]
    return "\n".join([*lines, ""])


def _objects(count: int) -> str:
    return "1 object" if count == 1 else f"{count} objects"


def cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint = given.checkpoint or save_checkpoint(
            random_model(sam2_config(SIZES["tiny"])), Path(scratch) / "tiny"
        )
        bundle = given.bundle or Path(scratch) / "tiny.bundle"
        if not bundle.exists():
            export_bundle(str(checkpoint), bundle)
        model = FAMILY.load(str(checkpoint), None)
        tables = {}
        for threads in given.threads:
            torch.set_num_threads(threads)
            print(f"threads: {threads}")
            with Sessions.open(Bundle.load(bundle), OnnxRuntime(threads=threads)) as sessions:
                tables[threads] = measure(model, sessions, given.rounds)
        text = report(tables, given.rounds)
    print(text)
    if given.write:
        (HERE / "stages.md").write_text(text)


if __name__ == "__main__":
    main()
