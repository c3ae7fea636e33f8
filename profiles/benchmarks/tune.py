"""What the knobs of `masklet tune` save and cost.

    python profiles/benchmarks/tune.py attention [--bundle BUNDLE] [--rounds N] [--threads N]
    python profiles/benchmarks/tune.py memory [--clips 20] [--size 256]
    python profiles/benchmarks/tune.py aspect [--clips 20]

attention: memory attention of a random hiera-tiny at 1024 px, with an object of 8 % of the picture: whole memories
against foveated and pooled ones, taking turns, medians. memory: J&F of the checkpoint that ships on held-out scenes,
with as many tokens. aspect: J&F on held-out scenes cut to 256 x 160, as frames of that size, stretched to squares, and
with bars above and below. --write keeps the tables in tune.md beside this file, a part for each command.
"""

import argparse
import dataclasses
import datetime
import importlib.metadata
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path = [path for path in sys.path if path != str(HERE)]  # openvino.py beside this file is not the package
sys.path += [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

import cv2  # noqa: E402
import numpy as np  # noqa: E402
from masklet.calibration.report.provenance import cpu_name  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.bundle.spec import Tensor  # noqa: E402
from masklet.runtime.tracking.memory_detail import BlockMemory, MemoryDetail  # noqa: E402
from masklet.runtime.tracking.memory_limits import MemoryLimits  # noqa: E402
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker  # noqa: E402

CHECKPOINT = HERE.parents[1] / "demos" / "nano" / "checkpoint"
PAGE = HERE / "tune.md"
PARTS = ("attention", "memory", "aspect")
WIDE = (160, 256)  # height and width of pictures that are no squares
POINTERS = 16
OBJECT = 0.08  # share of the picture
CLICKABLE = 60  # pixels of an object on the first frame
DETAILS = ("foveated:640", "foveated:480", "foveated:320", "pooled:2", "whole")
NANO = ("exact", "foveated:88", "foveated:64", "foveated:48", "pooled:2", "pooled:4")


def exported(folder: Path, checkpoint: Path | None, size: int) -> Path:
    """A bundle with whole and foveated memories. checkpoint: a random hiera-tiny where None."""
    from checkpoints import SIZES, random_model, sam2_config, save_checkpoint
    from masklet.export.family import Form
    from masklet.export.pipeline import export_bundle

    source = checkpoint or save_checkpoint(random_model(sam2_config(SIZES["tiny"])), folder / "tiny")
    export_bundle(str(source), folder / "bundle", [Form(size), Form(size, True)])
    return folder / "bundle"


def memories(grid: int, count: int, rng: np.random.Generator) -> Tensor:
    """Memories of a disc of 8 % of the picture on a noisy background, [count, cells, 64]."""
    radius, found = grid * (OBJECT / np.pi) ** 0.5, []
    for n in range(count):
        mask = np.zeros((grid, grid), np.float32)
        cv2.circle(mask, (grid // 2 + n, grid // 2), round(radius), 1, -1)
        cells = rng.normal(0, 0.2, (grid, grid, 64)) + mask[..., None] * rng.normal(0, 1, 64)
        found.append(cells.reshape(grid * grid, 64))
    return np.array(found, np.float32)


def feeds_of(model: Any, detail: str | None, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """Feeds of memory attention for one object. detail: None for a variant of whole memories."""
    grid, channels = model.feature_hw[0], int(model.stage("image_encoder").outputs[-1].shape[1])
    cells = memories(grid, count, rng)
    feeds: dict[str, Tensor] = {
        "vision_feat": rng.standard_normal((1, channels, grid, grid), np.float32),
        "memory": cells[None],
        "memory_time": np.arange(count, dtype=np.int64)[None] % 7,
        "pointers": rng.standard_normal((1, POINTERS, channels), np.float32),
        "pointer_time": rng.uniform(0, 1, (1, POINTERS)).astype(np.float32),
    }
    if detail is not None:
        kept = [BlockMemory(grid, grid, MemoryDetail.parse(detail))(memory) for memory in cells]
        feeds["memory"] = np.stack([content for content, _ in kept])[None]
        feeds["memory_place"] = np.stack([blocks for _, blocks in kept])[None]
    return feeds


def turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median milliseconds of calls that take turns, after one of each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if number:
                times[name].append(1e3 * (time.perf_counter() - begun))
    return {name: statistics.median(each) for name, each in times.items()}


def attention(given: argparse.Namespace) -> str:
    """Memory attention at 1024 px."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        root = given.bundle or exported(Path(folder), None, 1024)
        size, runtime = Bundle.load(root, check_hashes=False).model.form, OnnxRuntime(given.threads)
        whole, tokens = (Bundle.load(root, variant=f, check_hashes=False) for f in (size, f"{size}-foveated"))
        stage = "memory_attention"
        exact, blocks = (runtime.open(b, b.model.stage(stage)) for b in (whole, tokens))
        feeds = {f"exact, {n}": feeds_of(whole.model, None, n, rng) for n in (1, 7)}
        feeds |= {f"{d}, 7": feeds_of(tokens.model, d, 7, rng) for d in DETAILS}
        calls: dict[str, Callable[[], Any]] = {
            name: partial((exact if name.startswith("exact") else blocks).run, f) for name, f in feeds.items()
        }
        found = turns(calls, given.rounds)
    one = found["exact, 1"]
    lines = [
        f"SAM 2.1 hiera-tiny, random weights, {size} px, one object of {OBJECT:.0%} of the picture, {POINTERS} "
        "pointers; "
        f"ONNX Runtime FP32, {given.threads} threads, medians of {given.rounds}, taking turns.",
        "",
        "| memory, memories | tokens | ms | of one whole memory |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, ms in found.items():
        count = feeds[name]["memory"].shape[1] * feeds[name]["memory"].shape[2]
        lines.append(f"| {name} | {count} | {ms:.0f} | {ms / one:.2f} |")
    return "\n".join(lines)


def tracks(sessions: Sessions, clips: list[Any], options: TrackerOptions) -> Iterator[Any]:
    """The tracks of every object of clips, from one click each."""
    from evaluate import _clicks, _frames
    from scoring import Track

    for clip in clips:
        tracker, prompts = VideoTracker(sessions, options), _clicks(clip)
        found = [tracker.step(f, prompts if f.index == 0 else {}).masks for f in _frames(clip)]
        masks = np.stack(found, axis=1)
        yield from (Track(masks[row], clip.labels == label) for row, label in enumerate(clip.ids))


def memory(given: argparse.Namespace) -> str:
    """J&F on held-out scenes by what a memory keeps."""
    from scenes import held_out
    from scoring import figures

    cv2.setNumThreads(1)
    kinds = ("cluttered", "rich")
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = given.bundle or exported(Path(folder), CHECKPOINT, given.size)
        cells = int(np.prod(Bundle.load(root, check_hashes=False).model.feature_hw))
        for kind in kinds:
            clips = list(held_out(kind, given.clips, given.size))
            for name in NANO:
                form = f"{given.size}" if name == "exact" else f"{given.size}-foveated"
                limits = None if name == "exact" else MemoryLimits(detail=MemoryDetail.parse(name))
                with Sessions.open(Bundle.load(root, variant=form, check_hashes=False), OnnxRuntime(1)) as sessions:
                    found = figures(list(tracks(sessions, clips, TrackerOptions(limits=limits))), 1.0)
                rows.setdefault(name, []).append(100 * found.JF)
                print(kind, name, f"{100 * found.JF:.2f}", flush=True)
    grid = round(cells**0.5)
    tokens = {
        name: cells if name == "exact" else BlockMemory(grid, grid, MemoryDetail.parse(name)).tokens for name in NANO
    }
    lines = [
        f"nano exported at {given.size} px, {given.clips} held-out clips of each kind, two objects, one click each.",
        "",
        f"| memory | tokens kept | {' | '.join(f'{kind} J&F' for kind in kinds)} | "
        f"{' | '.join(f'lost, {k}' for k in kinds)} |",
        f"| --- | ---: |{' ---: |' * 2 * len(kinds)}",
    ]
    for name, jf in rows.items():
        lost = [f"{exact - each:.2f}" for each, exact in zip(jf, rows["exact"], strict=True)]
        figures_ = " | ".join([*(f"{each:.2f}" for each in jf), *lost])
        lines.append(f"| {name} | {tokens[name] / cells:.2f} | {figures_} |")
    return "\n".join(lines)


def aspect(given: argparse.Namespace) -> str:
    """J&F on wide pictures by how they become the model's input."""
    from scenes import held_out
    from scoring import figures

    cv2.setNumThreads(1)
    sizes = {"256x160": (WIDE, 0), "256 stretched": (256, 0), "192 stretched": (192, 0), "256 with bars": (256, 48)}
    rows: dict[str, list[float]] = {name: [] for name in sizes}
    with tempfile.TemporaryDirectory() as folder:
        from masklet.export.family import Form
        from masklet.export.pipeline import export_bundle

        root = given.bundle or Path(folder) / "bundle"
        if given.bundle is None:
            export_bundle(str(CHECKPOINT), root, [Form(WIDE), Form(256), Form(192)])
        for kind in ("cluttered", "rich"):
            clips = [wide for clip in held_out(kind, given.clips, 256) if (wide := cut_wide(clip)) is not None]
            for name, (_, bar) in sizes.items():
                bundle = Bundle.load(root, variant=name.partition(" ")[0], check_hashes=False)
                with Sessions.open(bundle, OnnxRuntime(1)) as sessions:
                    tracked = list(tracks(sessions, [barred(clip, bar) for clip in clips], TrackerOptions()))
                rows[name].append(100 * figures(tracked, 1.0).JF)
                print(kind, len(clips), name, f"{rows[name][-1]:.2f}", flush=True)
    lines = [
        f"nano, {given.clips} held-out clips of each kind cut to 256 x 160 pixels (those in which both objects can "
        "still be clicked), two objects, one click each.",
        "",
        "| model's input | cells | cluttered J&F | rich J&F |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, jf in rows.items():
        width, _, height = name.partition(" ")[0].partition("x")
        cells = int(width) * int(height or width) // 256
        lines.append(f"| {name} | {cells} | {' | '.join(f'{each:.2f}' for each in jf)} |")
    return "\n".join(lines)


def cut_wide(clip: Any) -> Any:
    """The middle of a square clip, WIDE; None where an object can no longer be clicked."""
    top = (clip.frames.shape[1] - WIDE[0]) // 2
    rows = slice(top, top + WIDE[0])
    labels = clip.labels[:, rows]
    shown = min((labels[0] == i).sum() for i in clip.ids) >= CLICKABLE
    return dataclasses.replace(clip, frames=clip.frames[:, rows], labels=labels) if shown else None


def barred(clip: Any, bar: int) -> Any:
    """A clip with black bars of so many rows above and below."""
    rows = ((0, 0), (bar, bar), (0, 0))
    frames, labels = np.pad(clip.frames, (*rows, (0, 0))), np.pad(clip.labels, rows)
    return dataclasses.replace(clip, frames=frames, labels=labels)


def keep(part: str, text: str, command: str) -> None:
    """Put a part into the page, in place of the part of that name."""
    head = f"## {part}\n{datetime.date.today().isoformat()}, {cpu_name()}, onnxruntime "
    head += f"{importlib.metadata.version('onnxruntime')}. `{command}`\n\n"
    before = PAGE.read_text() if PAGE.exists() else "# Tune: what its knobs save and cost\n"
    others = re.split(r"(?m)^(?=## )", before)
    kept = [other for other in others if not other.startswith(f"## {part}\n")]
    PAGE.write_text("".join([*(f"{other.rstrip()}\n\n" for other in kept), head + text]).rstrip() + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--bundle", type=Path, help="exported earlier, with --foveated")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = {"attention": attention, "memory": memory, "aspect": aspect}[given.part](given)
    print(text)
    if given.write:
        options = {"attention": f"--rounds {given.rounds} --threads {given.threads}"}
        options["memory"] = f"--clips {given.clips} --size {given.size}"
        options["aspect"] = f"--clips {given.clips}"
        keep(given.part, text, f"python profiles/benchmarks/tune.py {given.part} {options[given.part]} --write")


if __name__ == "__main__":
    main()
