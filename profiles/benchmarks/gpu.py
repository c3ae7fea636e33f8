"""A tracked frame on a GPU: TensorRT engines and ONNX Runtime's CUDA against torch, eager and compiled, in FP16.

    python profiles/benchmarks/gpu.py --checkpoint FOLDER --bundle BUNDLE [--backend tensorrt] [--rounds N] [--write]

BUNDLE holds FP16 engines for this GPU (`masklet calibrate --precision fp16`, `masklet build`). One object, a full
bank. The sides take turns; figures are medians of a stage's call up to the end of its stream.
Without a GPU it says so and ends.
"""

import argparse
import datetime
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from masklet.export.families.sam2 import FAMILY
from masklet.export.family import Case
from masklet.profiles.benchmarks.stages import TRACKED
from masklet.profiles.recording.synchronized_session import await_outputs
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.backends.trt.backend import TensorRt
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import MaskletError

HERE = Path(__file__).parent

POINTERS = 16
CASES = {
    "image_encoder": Case("image"),
    "memory_attention": Case("M", {"objects": 1, "memories": 7, "pointers": POINTERS}),
    "mask_decoder": Case("B", {"objects": 1, "points": 2}, TRACKED),
    "memory_encoder": Case("B", {"objects": 1}, {"binarize": 0, "object_score": 5}),
}
Side = dict[str, Callable[[], Any]]  # a stage -> one call of it, waited for


def main() -> None:
    given = arguments()
    if not torch.cuda.is_available():
        sys.exit(
            "no GPU: torch.cuda.is_available() is false; this benchmark needs an NVIDIA GPU and a CUDA build of torch"
        )
    model = FAMILY.load(str(given.checkpoint), None)
    bundle = Bundle.load(given.bundle)
    sides: dict[str, Side] = {"torch eager": eager(model), "torch.compile": compiled(model)}
    for name, backend in (
        (f"{given.backend}, CUDA graphs", lambda: TensorRt(given.backend, graphs=True)),
        (given.backend, lambda: TensorRt(given.backend)),
        ("ONNX Runtime CUDA", lambda: OnnxRuntime(provider="cuda", strict=True)),
    ):
        try:
            sides[name] = on_sessions(model, Sessions.open(bundle, backend()))
        except MaskletError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    text = report(measure(sides, given.rounds), given)
    print(text)
    if given.write:
        (HERE / "gpu.md").write_text(text)


def feeds_of(model: Any) -> dict[str, dict[str, Any]]:
    """What each stage is fed, the same on all sides."""
    return {s.spec.name: s.feeds(CASES[s.spec.name], seed=0) for s in FAMILY.stages(model) if s.spec.name in CASES}


def eager(model: Any) -> Side:
    """The exported modules themselves on torch, in FP16 where their arithmetic is."""
    return _torch_side(model, lambda module: module)


def compiled(model: Any) -> Side:
    """The same, compiled."""
    return _torch_side(model, lambda module: torch.compile(module, mode="max-autotune"))


def _torch_side(model: Any, wrap: Callable[[Any], Any]) -> Side:
    feeds = feeds_of(model)
    side: Side = {}
    for stage in FAMILY.stages(model):
        if stage.spec.name not in CASES:
            continue
        module = wrap(stage.module.eval().cuda())
        placed = {name: torch.from_numpy(feed).cuda() for name, feed in feeds[stage.spec.name].items()}

        def call(module: Any = module, placed: Any = placed) -> None:
            with torch.inference_mode(), torch.autocast("cuda", torch.float16):
                module(**placed)
            torch.cuda.synchronize()

        side[stage.spec.name] = call
    return side


def on_sessions(model: Any, sessions: Sessions) -> Side:
    """A backend's sessions. Feeds of features and memories lie on the device beforehand, as in a run."""
    feeds = feeds_of(model)
    side: Side = {}
    encoded = sessions.run("image_encoder", feeds["image_encoder"])
    for name in CASES:
        given = {**feeds[name], **{k: v for k, v in encoded.items() if k in feeds[name]}}

        def call(name: str = name, given: Any = given) -> None:
            await_outputs(sessions.run(name, given))

        side[name] = call
    return side


def measure(sides: dict[str, Side], rounds: int) -> dict[str, dict[str, float]]:
    """Median milliseconds by side and stage, the sides in turns, after five calls of each."""
    taken: dict[str, dict[str, list[float]]] = {side: {stage: [] for stage in CASES} for side in sides}
    for stage in CASES:
        for round_ in range(rounds + 5):
            for name, side in sides.items():
                began = time.perf_counter_ns()
                side[stage]()
                if round_ >= 5:
                    taken[name][stage].append((time.perf_counter_ns() - began) / 1e6)
    return {side: {stage: statistics.median(ms) for stage, ms in stages.items()} for side, stages in taken.items()}


def report(found: dict[str, dict[str, float]], given: argparse.Namespace) -> str:
    """One table."""
    device, base = torch.cuda.get_device_name(), sum(found["torch.compile"].values())
    rows = [
        f"| {side} | {' | '.join(f'{ms:.2f}' for ms in stages.values())} | {sum(stages.values()):.2f} | "
        f"{base / sum(stages.values()):.2f} |"
        for side, stages in found.items()
    ]
    return "\n".join(
        [
            "# A tracked frame on a GPU",
            "",
            f"{datetime.date.today().isoformat()}, {device}, torch {torch.__version__}, ms a call, medians of "
            f"{given.rounds}. `python profiles/benchmarks/gpu.py --checkpoint FOLDER --bundle BUNDLE "
            f"--backend {given.backend} --rounds {given.rounds} --write`",
            "",
            f"| side | {' | '.join(CASES)} | frame | against torch.compile |",
            f"| --- |{' ---: |' * (len(CASES) + 2)}",
            *rows,
            "",
        ]
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--backend", default="tensorrt", choices=("tensorrt", "tensorrt-rtx"))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--write", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
