"""What FP16 and INT8 cost in masks, and what they save in time and size.

    python profiles/benchmarks/calibration.py accuracy [--clips 20] [--frames 30] [--scratch FOLDER] [--write]
    python profiles/benchmarks/calibration.py memory
    python profiles/benchmarks/calibration.py speed [--checkpoint FOLDER --bundle BUNDLE] [--rounds N] [--threads N]

accuracy: the checkpoint that ships (or another of its kind) on held-out cluttered scenes with true masks, two objects,
one click each: every precision, without and with a search; --scratch keeps what is done there and goes on with the
rest. memory: peak memory of calibrating on 50 and 500 frames, and
the time of 200. speed: a random hiera-tiny of real size, INT8 against FP32 and torch eager, taking turns, medians.
--write keeps the tables in calibration.md beside this file, a part for each command.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

CHECKPOINT = HERE.parents[1] / "demos" / "nano" / "checkpoint"
MASKLET = Path(sys.executable).with_name("masklet")  # the one that is installed beside this Python
PAGE = HERE / "calibration.md"
PARTS = ("accuracy", "memory", "speed")
SEARCHED = 0.997  # mask IoU that the search is asked for
RUNS = (  # title, precision, method, whether it is searched
    ("fp16", "fp16", "percentile", False),
    ("int8, max", "int8", "max", False),
    ("int8, percentile", "int8", "percentile", False),
    ("int8, entropy", "int8", "entropy", False),
    ("int8-fp16, percentile", "int8-fp16", "percentile", False),
    (f"int8, searched to {SEARCHED}", "int8", "percentile", True),
)


@dataclass(frozen=True)
class Scene:
    """A clip on disk and its clicks."""

    frames: Path
    masks: Path
    points: list[str]


def scenes(folder: Path, clips: int, frames: int) -> list[Scene]:
    """Write held-out cluttered scenes with two objects."""
    from clicks import centre_click
    from folder import write_clip
    from scenes import held_out

    found = []
    for number, clip in enumerate(held_out("cluttered", clips, frames=frames)):
        place = folder / f"{number:02d}"
        if not place.exists():
            write_clip(place, clip.frames, clip.labels)
        clicks = {label: centre_click(clip.labels[0] == label) for label in clip.ids}
        found.append(Scene(place / "frames", place / "masks", [f"{i}:{x},{y}" for i, (x, y) in clicks.items()]))
    return found


def command(bundle: Path, clips: Sequence[Scene], out: Path, *options: object) -> list[str]:
    """The command line that calibrates a bundle on scenes."""
    words: list[object] = [MASKLET, "calibrate", bundle, *(clip.frames for clip in clips), "-o", out]
    for number, clip in enumerate(clips, start=1):
        words += [word for point in clip.points for word in ("--point", f"{number}/{point}")]
        words += ["--truth", clip.masks]
    return [str(word) for word in (*words, *options)]


def calibrated(bundle: Path, clips: Sequence[Scene], out: Path, *options: object) -> dict[str, Any]:
    """Calibrate and read the report."""
    done = subprocess.run(command(bundle, clips, out, "--force", *options), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    report: dict[str, Any] = json.loads(out.with_suffix(".report.json").read_bytes())
    return report


def accuracy(given: argparse.Namespace) -> str:
    """Every precision on the same scenes, recorded once."""
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.clips.truth import open_truth
    from masklet.calibration.recording.record import record
    from masklet.calibration.scoring.closed_loop import Bound, evaluate
    from masklet.calibration.search.lowered_stages import LoweredStages
    from masklet.calibration.search.search import Search
    from masklet.runtime.bundle.bundle import Bundle
    from masklet.runtime.bundle.precision import Precision
    from masklet.runtime.prompts.syntax import parse_prompts

    rows = []
    with scratch(given.scratch) as folder:
        bundle = Bundle.load(exported(given.checkpoint or CHECKPOINT, folder))
        clips = [
            Clip(
                str(scene.frames),
                parse_prompts(points=scene.points, negatives=(), boxes=(), masks=()),
                {},
                truth=open_truth(scene.masks),
            )
            for scene in scenes(folder, given.clips, given.frames)
        ]
        recording = record(bundle, clips, folder / "recording", seed=0, threads=given.threads, progress=lambda *_: None)
        masks = [recording.masks(number) for number in range(len(clips))]
        for title, precision, method, strict in RUNS:
            kept = folder / f"{title}.row"
            if not kept.exists():
                lowered = LoweredStages(bundle, recording, Precision(precision), method, folder / title, given.threads)
                search = Search(
                    lowered,
                    lambda _, choices, v=lowered: evaluate(v.open(choices), clips, masks, lambda _: None),  # type: ignore[misc]
                    Bound(0.5, SEARCHED if strict else 0.0),
                )
                kept.write_text(_accuracy_row(title, precision, search, strict))
            rows.append(kept.read_text())
            print(rows[-1], flush=True)
    total = given.clips * given.frames
    return "\n".join(
        (
            f"{_today()}. {given.clips} held-out cluttered scenes of {given.frames} frames ({total} frames), 128 px, "
            "two objects, one click each; J&F with the true masks, mask IoU with the FP32 pipeline. FP16 is measured "
            "with every tensor rounded to FP16, as a device does. The search asks for more than the default of 0.985. "
            f"`{_command('accuracy', given)}`",
            "",
            "| precision | not low | MB | of FP32 | mask IoU | worst frame | J&F | points lost | lost, gained |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        )
    )


def _accuracy_row(title: str, precision: str, search: Any, strict: bool) -> str:
    chosen = search.lowered.lowest()
    if strict:
        chosen = search.run()
    else:
        search.attempt("every stage low", chosen)
    figures = search.evaluation(chosen).figures
    higher = [f"{stage}: {choice}" for stage, choice in chosen.items() if str(choice) != precision]
    higher = [words for words in higher if not words.startswith("mask_prompt_encoder")]
    size, full = search.lowered.sizes(chosen)
    return (
        f"| {title} | {'; '.join(higher)} | {size / 1e6:.1f} | {size / full:.2f} | {figures.iou:.4f} | "
        f"{figures.least_iou:.3f} | {figures.jf:.2f} | {figures.drop:+.2f} | {figures.lost}, {figures.gained} |"
    )


@contextmanager
def scratch(kept: Path | None) -> Iterator[Path]:
    """A folder to work in: the one that is given, or one that is gone afterwards."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def memory(given: argparse.Namespace) -> str:
    """Peak memory for clips of different lengths, and the time of 200 frames.

    What a process holds when it starts another counts as that one's peak, too: so the export has a process of its own.
    """
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = folder / "fp32.bundle"
        subprocess.run([MASKLET, "export", given.checkpoint or CHECKPOINT, "-o", bundle], check=True)
        for frames in (50, 200, 500):
            clips = scenes(folder / str(frames), 1, frames)
            words = command(bundle, clips, folder / f"{frames}.bundle", "--force", "--threads", given.threads)
            begun = time.perf_counter()
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            if status:
                raise SystemExit(f"calibrating {frames} frames failed")
            taken = time.perf_counter() - begun, used.ru_utime + used.ru_stime
            rows.append(f"| {frames} | {used.ru_maxrss / 1e3:.0f} | {taken[0]:.0f} | {taken[1]:.0f} |")
            print(rows[-1], flush=True)
    return "\n".join(
        (
            f"{_today()}. One scene of so many frames, the search with its trial of each stage alone. "
            f"`{_command('memory', given)}`",
            "",
            "| frames | peak memory, MB | seconds | of processor time |",
            "| ---: | ---: | ---: | ---: |",
            *rows,
        )
    )


def speed(given: argparse.Namespace) -> str:
    """INT8 against FP32 and torch eager, stage by stage at the sizes of a tracked frame."""
    import torch
    from checkpoints import SIZES, random_model, sam2_config, save_checkpoint
    from masklet.export.families.sam2 import FAMILY
    from masklet.runtime.backends.ort.backend import OnnxRuntime
    from masklet.runtime.backends.sessions import Sessions
    from masklet.runtime.bundle.bundle import Bundle

    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = given.checkpoint or save_checkpoint(random_model(sam2_config(SIZES["tiny"])), folder / "tiny")
        bundle = given.bundle or exported(checkpoint, folder)
        low = given.low or folder / "int8.bundle"
        if not low.exists():
            calibrated(bundle, scenes(folder, 1, 3), low, "--no-search", "--no-hashes", "--threads", given.threads)
        model = FAMILY.load(str(checkpoint), None)
        sizes = [sum(file.bytes for file in Bundle.load(b).manifest.files()) / 1e6 for b in (low, bundle)]
        runtime = OnnxRuntime(threads=given.threads)
        with Sessions.open(Bundle.load(low), runtime) as int8, Sessions.open(Bundle.load(bundle), runtime) as fp32:
            rows = _timed(model, int8, fp32, given.rounds)
    return "\n".join(
        (
            f"{_today()}, {given.threads} threads, wall clock; SAM 2.1 hiera-tiny at 1024 px, random weights, ONNX "
            f"Runtime's CPU. The bundle has {sizes[0]:.1f} MB, {sizes[0] / sizes[1]:.2f} of FP32's {sizes[1]:.1f}. "
            f"`{_command('speed', given)}`",
            "",
            "| stage | size | INT8, s | FP32, s | over FP32 | torch eager, s | over torch |",
            "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
            *rows,
        )
    )


def _timed(model: Any, int8: Any, fp32: Any, rounds: int) -> list[str]:
    from masklet.export.families.sam2 import FAMILY, MEAN, STD
    from masklet.export.family import Case
    from masklet.export.references import sam2_reference as reference
    from masklet.profiles.benchmarks.stages import POINTERS, TRACKED, eager_decoder, eager_memory_encoder

    encoder = reference.image_encoder(model, MEAN, STD)
    attention = reference.memory_attention(model, model.vision_encoder.neck)
    stages = {stage.spec.name: stage for stage in FAMILY.stages(model)}
    one = {"objects": 1}
    cases: list[tuple[str, str, Case, Callable[[Any], Callable[[], Any]]]] = [
        ("image_encoder", "1024 px", Case("image"), lambda feeds: lambda: encoder(feeds)),
        *(
            (
                "memory_attention",
                f"{m} memor{'y' if m == 1 else 'ies'}",
                Case("M", {**one, "memories": m, "pointers": POINTERS}),
                lambda feeds: lambda: attention(feeds),
            )
            for m in (1, 3, 7)
        ),
        ("mask_decoder", "1 object", Case("B", {**one, "points": 2}, TRACKED), lambda f: eager_decoder(model, f)),
        (
            "memory_encoder",
            "1 object",
            Case("B", one, {"binarize": 0, "object_score": 5}),
            lambda feeds: eager_memory_encoder(model, feeds),
        ),
    ]
    rows, frame = [], [0.0, 0.0, 0.0]
    for name, size, case, eager in cases:
        feeds = stages[name].feeds(case, seed=0)
        times = alternate((partial(int8.run, name, feeds), partial(fp32.run, name, feeds), eager(feeds)), rounds)
        if size not in ("1 memory", "3 memories"):
            frame = [total + taken for total, taken in zip(frame, times, strict=True)]
        rows.append(_speed_row(name, size, times))
        print(rows[-1], flush=True)
    return [*rows, _speed_row("whole frame", "1 object, 7 memories", frame)]


def _speed_row(name: str, size: str, times: Sequence[float]) -> str:
    low, full, torch = times
    return f"| {name} | {size} | {low:.3f} | {full:.3f} | {full / low:.2f} | {torch:.3f} | {torch / low:.2f} |"


def alternate(calls: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """Median seconds of calls that take turns, after one of each to warm up."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for call, taken in zip(calls, times, strict=True):
            begun = time.perf_counter()
            call()
            if turn:
                taken.append(time.perf_counter() - begun)
    return [statistics.median(taken) for taken in times]


def exported(checkpoint: Path, folder: Path) -> Path:
    """The FP32 bundle of a checkpoint."""
    from masklet.export.pipeline import export_bundle

    if not (folder / "fp32.bundle").exists():
        export_bundle(str(checkpoint), folder / "fp32.bundle")
    return folder / "fp32.bundle"


def _today() -> str:
    from masklet.profiles.benchmarks.stages import cpu_name

    return f"{datetime.date.today().isoformat()}, {cpu_name()}"


def _command(part: str, given: argparse.Namespace) -> str:
    options = {"accuracy": ("clips", "frames", "threads"), "memory": ("threads",), "speed": ("rounds", "threads")}[part]
    words = " ".join(f"--{name} {getattr(given, name)}" for name in options)
    return f"python profiles/benchmarks/calibration.py {part} {words} --write"


def keep(part: str, text: str) -> None:
    """Put a part into the page, in the place of its earlier figures."""
    page = PAGE.read_text() if PAGE.exists() else "# What FP16 and INT8 cost, and what they save\n"
    found = dict(re.findall(r"^## (\w+)\n\n(.*?)\n*(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)) | {part: text}
    names = [*(name for name in PARTS if name in found), *(name for name in found if name not in PARTS)]
    body = "\n\n".join(f"## {name}\n\n{found[name]}" for name in names)
    PAGE.write_text(f"# What FP16 and INT8 cost, and what they save\n\n{body}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--bundle", type=Path, help="the FP32 bundle of the checkpoint (speed)")
    parser.add_argument("--low", type=Path, help="its INT8 bundle, if there is one (speed)")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--scratch", type=Path, help="keep what is done there, and go on from it (accuracy)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    parts: dict[str, Callable[[argparse.Namespace], str]] = {"accuracy": accuracy, "memory": memory, "speed": speed}
    text = parts[given.part](given)
    print(text)
    if given.write:
        keep(given.part, text)


if __name__ == "__main__":
    main()
