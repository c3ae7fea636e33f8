"""What an image costs before the first click: the image encoders of SAM ViT-B and of the small SAMs.

    python profiles/benchmarks/encoders.py [--models NAME ...] [--scratch FOLDER] [--rounds N] [--threads N] [--write]

Random weights of the published sizes; encoders are drawn and traced into the scratch folder where it has none yet. All
take turns on ONNX Runtime, FP32; medians. --write keeps the table in encoders.md beside this file.
"""

import argparse
import datetime
import importlib.metadata
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from masklet.export.graphs.trace import trace  # noqa: E402
from masklet.export.known_families import family_of  # noqa: E402
from masklet.export.parity import WEIGHTS_FOLDER  # noqa: E402
from masklet.profiles.benchmarks.checkpoints import MODELS  # noqa: E402
from masklet.profiles.benchmarks.stages import cpu_name  # noqa: E402

SLOWEST = "SAM ViT-B"
COMPARED = (SLOWEST, "MobileSAM", "EdgeSAM", "EfficientViT-SAM L0", "EfficientViT-SAM L2", "EfficientViT-SAM XL0")


def graph_of(name: str, scratch: Path) -> Path:
    """The graph of a model's image encoder that ONNX Runtime runs, traced unless it is there."""
    folder = scratch / name.replace(" ", "-")
    if not folder.exists():
        folder.mkdir(parents=True)
        model = MODELS[name].model()
        encoder = next(iter(family_of(model.config.model_type, name).stages(model)))
        files = trace(encoder).write(folder)
        (folder / "graph").write_text(files.get("onnx-ort", files["onnx"])[0])
    return folder / (folder / "graph").read_text()


def opened(graph: Path, threads: int) -> tuple[int, Callable[[], Any]]:
    """The edge of the images that a graph takes, in pixels, and a call of it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry(WEIGHTS_FOLDER, str(graph.parent))
    session = ort.InferenceSession(str(graph), options, ["CPUExecutionProvider"])
    side = int(session.get_inputs()[0].shape[1])
    image = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    return side, lambda: session.run(None, {"image": image, "content_hw": np.array([side, side])})


def taking_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each call, after one of each to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken[1:]) for name, taken in seconds.items()}


def main() -> int:
    """Print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="encoders.py", description=__doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(COMPARED), metavar="NAME")
    parser.add_argument("--scratch", type=Path, help="keeps the graphs for another run")
    parser.add_argument("--rounds", type=int, default=3, help="0 traces alone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="keep the table in encoders.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as own:
        graphs = {name: graph_of(name, chosen.scratch or Path(own)) for name in chosen.models}
        if not chosen.rounds:
            return 0
        models = {name: opened(graph, chosen.threads) for name, graph in graphs.items()}
        seconds = taking_turns({name: call for name, (_, call) in models.items()}, chosen.rounds)
    first = seconds[chosen.models[0]]
    lines = [
        f"| model | image, px | ms an image | {chosen.models[0]} takes as much, times |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, taken in seconds.items():
        lines.append(f"| {name} | {models[name][0]} | {1000 * taken:.0f} | {first / taken:.1f} |")
    print("\n".join(lines))
    if chosen.write:
        (HERE / "encoders.md").write_text(page("\n".join(lines), chosen.threads, chosen.rounds))
    return 0


def page(table: str, threads: int, rounds: int) -> str:
    """The table with what it was made on."""
    made = f"{datetime.date.today():%d %B %Y}, {cpu_name()}, {threads} threads, FP32, random weights, "
    made += f"onnxruntime {importlib.metadata.version('onnxruntime')}. All take turns, medians of {rounds} calls. "
    return f"# Image encoders\n\n{made}`python profiles/benchmarks/encoders.py --write`\n\n{table}\n"


if __name__ == "__main__":
    raise SystemExit(main())
