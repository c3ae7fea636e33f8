"""SAM 3 at its real size, random weights: what exporting and running each stage takes, and against torch eager.

    python profiles/benchmarks/sam3.py --checkpoint FOLDER --scratch FOLDER [--stages NAME ...] [--threads N]
                                       [--rounds N] [--write]

Every stage is exported as `masklet export` does it (traced, written, both graphs compared with the checkpoint), then
opened and run without torch, then timed against transformers' own modules, the two taking turns; each in a process of
its own, whose peak of memory is taken. The checkpoint is drawn and saved first where there is none. Figures collect
in the scratch folder, so that stages can be measured one at a time; --write makes sam3.md of them beside this file.
One thread is timed by the time that it computes, so that other work on the machine counts less.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
SIZES: dict[str, dict[str, dict[str, int]]] = {
    "image_encoder": {"1008 px": {}},
    "text_encoder": {"1 phrase": {"phrases": 1}, "4 phrases": {"phrases": 4}},
    "geometry_encoder": {"1 exemplar": {"phrases": 1, "exemplars": 1}},
    "detector": {"1 phrase": {"phrases": 1, "tokens": 34}, "4 phrases": {"phrases": 4, "tokens": 34}},
    "mask_head": {"1 phrase, 10 queries": {"phrases": 1, "tokens": 34, "selected": 10}},
    "memory_attention": {
        f"{count} memor{'y' if count == 1 else 'ies'}": {"objects": 1, "memories": count, "pointers": 16}
        for count in (1, 7, 10)
    },
    "mask_decoder": {f"{count} object{'s'[: count > 1]}": {"objects": count, "points": 2} for count in (1, 4)},
    "memory_encoder": {f"{count} object{'s'[: count > 1]}": {"objects": count} for count in (1, 4)},
    "mask_prompt_encoder": {"1 object": {"objects": 1}},
}
FIXED: dict[str, Any] = {
    "boxes": [0.5, 0.5, 0.1, 0.1],
    "box_valid": 1,
    "prompt_valid": 1,
    "point_labels": -1,
    "has_mask": 0,
    "multimask": 1,
    "memoryless": 0,
    "binarize": 0,
    "object_score": 5,
}


def export(checkpoint: str, folder: Path, name: str) -> dict[str, Any]:
    """Export one stage and keep feeds of each size beside it."""
    from masklet.export import parity
    from masklet.export.graphs.trace import trace

    stage = find_stage(checkpoint, name)
    start = time.process_time()
    files = trace(stage).write(folder)
    traced = time.process_time() - start
    calls = parity.reference_calls(stage)
    figures = [f for format, paths in files.items() for f in parity.compare(stage, calls, format, folder / paths[0])]
    parity.require(figures)
    for size in SIZES[name]:
        np.savez(feeds_file(folder, name, size), **feeds_of(stage, name, size))
    paths = {path for of_format in files.values() for path in of_format}
    return {
        "export_s": time.process_time() - start,
        "trace_s": traced,
        "disk_mb": sum((folder / path).stat().st_size for path in paths) / 1e6,
        "relative": max(f.relative for f in figures),
    }


def run(folder: Path, name: str, threads: int) -> dict[str, Any]:
    """Open a stage and run its first size, without torch."""
    session = open_graph(folder, name, threads)
    outputs = session.run(None, dict(np.load(feeds_file(folder, name, next(iter(SIZES[name]))))))
    if not all(np.isfinite(output).all() for output in outputs):
        raise SystemExit(f"{name}: outputs that are not finite")
    return {}


def compare(checkpoint: str, folder: Path, name: str, threads: int, rounds: int) -> dict[str, Any]:
    """Seconds of torch eager and of ONNX Runtime at each size."""
    import torch

    torch.set_num_threads(threads)
    from masklet.profiles.benchmarks.stages import alternate

    session, rows = open_graph(folder, name, threads), {}
    eager, clock = eager_of(checkpoint, name), time.process_time if threads == 1 else time.perf_counter
    for size in SIZES[name]:
        feeds = dict(np.load(feeds_file(folder, name, size)))
        rows[size] = alternate(eager(feeds), lambda feeds=feeds: session.run(None, feeds), rounds, clock)  # type: ignore[misc]
    return {"rows": rows}


def eager_of(checkpoint: str, name: str) -> Callable[[Any], Callable[[], Any]]:
    """Binds feeds to transformers' own modules: those that parity is measured with where they do no more than that."""
    from masklet.export.families.sam3 import FAMILY, parts_of
    from masklet.profiles.benchmarks.stages import eager_decoder, eager_memory_encoder

    loaded = FAMILY.load(checkpoint, None)
    bound = {"mask_decoder": eager_decoder, "memory_encoder": eager_memory_encoder}.get(name)
    if bound is not None:
        tracker = parts_of(loaded).tracker
        return lambda feeds: bound(tracker, feeds)
    reference = next(stage for stage in FAMILY.stages(loaded) if stage.spec.name == name).reference
    return lambda feeds: lambda: reference(feeds)


def find_stage(checkpoint: str, name: str) -> Any:
    from masklet.export.families.sam3 import FAMILY

    return next(stage for stage in FAMILY.stages(FAMILY.load(checkpoint, None)) if stage.spec.name == name)


def feeds_of(stage: Any, name: str, size: str) -> dict[str, Any]:
    from masklet.export.family import Case

    fixed = {tensor: value for tensor, value in FIXED.items() if stage.spec.accepts(tensor)}
    feeds: dict[str, Any] = stage.feeds(Case(size, SIZES[name][size], fixed), seed=0)
    return feeds


def feeds_file(folder: Path, name: str, size: str) -> Path:
    return folder / f"{name}.{size.replace(' ', '_')}.npz"


def open_graph(folder: Path, name: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    fused = folder / f"{name}.ort.onnx"
    path = fused if fused.exists() else folder / f"{name}.onnx"
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measured(step: str, given: argparse.Namespace, name: str) -> dict[str, Any]:
    """Run one step in a process of its own; its figures with its peak of memory."""
    words = ["--checkpoint", given.checkpoint, "--scratch", given.scratch, "--threads", given.threads]
    words += ["--rounds", given.rounds, "--stages", name, "--step", step]
    done = subprocess.run(
        [sys.executable, __file__, *map(str, words)], stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    figures: dict[str, Any] = json.loads(done.splitlines()[-1])
    print(name, step, figures, flush=True)
    return figures


def step(given: argparse.Namespace) -> None:
    """What a process of its own does: one step of one stage, and a line of JSON."""
    name, checkpoint, folder = given.stages[0], str(given.checkpoint), given.scratch / given.stages[0]
    folder.mkdir(exist_ok=True)
    if given.step == "draw":
        figures = draw_checkpoint(given.checkpoint)
    elif given.step == "export":
        figures = export(checkpoint, folder, name)
    elif given.step == "run":
        figures = run(folder, name, given.threads)
    else:
        figures = compare(checkpoint, folder, name, given.threads, given.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({**figures, f"{given.step}_gb": peak}))


def draw_checkpoint(folder: Path) -> dict[str, Any]:
    """A random SAM 3 of real size, about 3.5 GB; in a process of its own, for a child inherits its parent's peak."""
    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    from sam3_checkpoints import random_sam3, save_sam3
    from transformers import Sam3VideoConfig

    save_sam3(random_sam3(Sam3VideoConfig()), folder)
    return {}


def report(found: dict[str, Any]) -> str:
    """Two tables, with what is needed to repeat them."""
    from masklet.profiles.benchmarks.stages import cpu_name

    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("torch", "transformers", "onnxruntime"))
    stages = {name: found[name] for name in SIZES if name in found}
    threads = max(f["threads"] for f in stages.values())
    settings = f"--threads {threads} --rounds {max(f['rounds'] for f in stages.values())}"
    loads = [f["load"] for f in stages.values()]
    load = f"load average {min(loads):.1f} to {max(loads):.1f}"
    missing = [name for name in SIZES if name not in found]
    return "\n".join(
        [
            "# SAM 3: every stage at its real size",
            "",
            f"{datetime.date.today().isoformat()}, {cpu_name()}, FP32, {threads} "
            f"thread{'s'[: threads > 1]}. {versions}. Random weights, 1008 px. `python "
            f"profiles/benchmarks/sam3.py --checkpoint FOLDER --scratch FOLDER {settings} --write`",
            "",
            f"The machine was in use ({load}): memory, sizes and differences hold, seconds are too many, and ratios "
            "within a row are worth more than seconds."
            if max(loads) > 1.5 * threads
            else f"The machine did nothing else ({load}).",
            *(["", f"Not measured: {', '.join(missing)}."] if missing else []),
            "",
            "What exporting takes, in seconds of computing (tracing, writing, and running the checkpoint and both "
            "graphs to compare them; one process a stage, the checkpoint of 3.4 GB mapped), and the peak of memory of "
            "a process that opens ONNX Runtime's graph and runs the first size of the second table. All outputs are "
            "finite. The relative difference is the worst of all outputs, of both graphs, in every case of the parity "
            "check.",
            "",
            "| stage | tracing, s | whole export, s | peak of export, GB | on disk, MB | peak of a run, GB | relative "
            "difference |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *(
                f"| {name} | {f['trace_s']:.0f} | {f['export_s']:.0f} | {f['export_gb']:.1f} | {f['disk_mb']:.0f} | "
                f"{f['run_gb']:.1f} | {f['relative']:.1e} |"
                for name, f in stages.items()
            ),
            "",
            f"Seconds {'of computing ' if threads == 1 else ''}a call, of transformers' own modules in torch "
            "eager and of the graph in ONNX Runtime; the two take turns, medians after one call each to warm up. "
            "transformers has one phrase a call.",
            "",
            "| stage | size | calls | torch eager, s | ONNX Runtime, s | ratio |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
            *(
                f"| {name} | {size} | {f['rounds']} | {a:.3f} | {b:.3f} | {a / b:.2f} |"
                for name, f in stages.items()
                for size, (a, b) in f["rows"].items()
            ),
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--stages", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--step", choices=("draw", "export", "run", "compare"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.scratch.mkdir(exist_ok=True)
    if given.step:
        step(given)
        return
    if not given.checkpoint.exists():
        measured("draw", given, given.stages[0])
    kept = given.scratch / "figures.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if any(figures["threads"] != given.threads for figures in found.values()):
        raise SystemExit(f"{kept}: has figures of another number of threads; give another --scratch")
    for name in given.stages:
        figures: dict[str, Any] = {"rounds": given.rounds, "threads": given.threads}
        for each in ("export", "run", "compare"):
            figures |= measured(each, given, name)
        shutil.rmtree(given.scratch / name)
        found[name] = {**figures, "load": os.getloadavg()[0]}
        kept.write_text(json.dumps(found, indent=2))
    if given.write:
        (HERE / "sam3.md").write_text(report(found))


if __name__ == "__main__":
    main()
