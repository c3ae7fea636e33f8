"""What `masklet tune` reaches: speeds of a real size, and budgets of the nano with their accuracy on other clips.

    python profiles/benchmarks/tune_front.py tiny --bundle TINY --checkpoint FOLDER [--threads N]
    python profiles/benchmarks/tune_front.py nano --bundle NANO --points points.json [--threads N] [--seconds N]
    python profiles/benchmarks/tune_front.py held-out --bundle NANO --points points.json [--clips 20]

TINY: hiera-tiny with --image-size 1024 --image-size 512 --foveated. NANO: the nano with --image-size 256, 192 and 128,
--foveated. tiny: a frame of points of the front once memories are full, with one object and with eight, beside the
modules in torch. nano: the search at 75, 50 and 25 % of the exact pipeline's latency on three cluttered clips; the
chosen points go to points.json. held-out: their J&F on clips that were neither trained nor searched on. --write keeps
the table in tune.md.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path = [path for path in sys.path if path != str(HERE)]  # openvino.py beside this file is not the package
sys.path += [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

import cv2  # noqa: E402
import msgspec  # noqa: E402
import numpy as np  # noqa: E402
from masklet.calibration.clips.clips import Clip  # noqa: E402
from masklet.calibration.clips.truth import open_truth  # noqa: E402
from masklet.calibration.tuning.exact import ExactMasks  # noqa: E402
from masklet.calibration.tuning.journal import Journal  # noqa: E402
from masklet.calibration.tuning.knobs import Knobs  # noqa: E402
from masklet.calibration.tuning.models import Models  # noqa: E402
from masklet.calibration.tuning.point import BF16, Point  # noqa: E402
from masklet.calibration.tuning.report import objects_of, report  # noqa: E402
from masklet.calibration.tuning.search import Goal, Search  # noqa: E402
from masklet.calibration.tuning.trial import Trial  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Box, Points, Prompt  # noqa: E402
from masklet.runtime.results import Frame  # noqa: E402
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker  # noqa: E402
from tune import keep, tracks  # type: ignore[import-not-found] # noqa: E402

PLACE = dict.fromkeys(("image_encoder", "memory_attention", "memory_encoder"), "openvino:bf16")
FRAMES, FILLED = 10, 8  # frames of a speed, and the first of them that counts
SHARES = (0.75, 0.5, 0.25)
SEARCHED_FROM = 100  # seeds of the clips that are searched, after those that judge


class Chosen(msgspec.Struct):
    """A budget and the point that was chosen for it. ms: measured in the search. place: of its stages."""

    target_ms: float
    point: Point
    place: dict[str, str]
    ms: float
    predicted_ms: float | None
    loss: float


def tiny(given: argparse.Namespace) -> str:
    """Milliseconds of a frame of hiera-tiny at points of the front."""
    models = Models([Bundle.load(given.bundle, check_hashes=False)], given.threads)
    for key in models.names():
        models.places[key, BF16] = PLACE
    points = {
        "exact": (models.exact, 1),
        "1024 px, bf16": (Point("1024", numerics=BF16), 1),
        "1024 px, bf16, foveated:640": (Point("1024-foveated", numerics=BF16, detail="foveated:640"), 1),
        "512 px, bf16": (Point("512", numerics=BF16), 1),
        "512 px, bf16, foveated:192, 2 recent frames": (_fastest(1), 1),
        "the same, every 3rd frame segmented": (_fastest(3), 1),
        "the same, eight objects, every frame": (_fastest(1), 8),
        "the same, eight objects, every 3rd frame": (_fastest(3), 8),
    }
    times: dict[str, tuple[float, float]] = {}
    for name, (point, objects) in points.items():
        with models.open(point) as sessions:
            times[name] = _frame_ms(sessions, point.options, objects)
        print(f"{name}: {times[name][0]:.0f} ms, {times[name][1]:.2f} segmented", flush=True)
    if given.checkpoint is not None:
        times["torch eager FP32, the modules of the checkpoint"] = _frame_ms(_torch(given), TrackerOptions(), 1)
    exact = times["exact"][0]
    lines = [
        f"SAM 2.1 hiera-tiny, random weights, {given.threads} threads; a frame from pixels to masks, medians of "
        f"{FRAMES - FILLED} once memories are full. Stages in bf16 run on OpenVINO, the others on ONNX Runtime.",
        "",
        "| point | ms a frame | times as fast as exact | frames segmented |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines += [f"| {name} | {ms:.0f} | {exact / ms:.2f} | {share:.2f} |" for name, (ms, share) in times.items()]
    return "\n".join(lines)


def _fastest(update: int) -> Point:
    return Point("512-foveated", numerics=BF16, detail="foveated:192", frames=2, update=update)


def _torch(given: argparse.Namespace) -> Sessions:
    import torch
    from masklet.export.families import sam2
    from torch_sessions import torch_sessions
    from transformers import Sam2VideoModel

    torch.set_num_threads(given.threads)
    family: Any = sam2.FAMILY
    return torch_sessions(family, Sam2VideoModel.from_pretrained(given.checkpoint).eval())


def _frame_ms(sessions: Sessions, options: TrackerOptions, objects: int) -> tuple[float, float]:
    """Milliseconds of a frame on average, and the share of frames that are segmented once memories are full."""
    picture = np.random.default_rng(0).integers(60, 120, (720, 1280, 3), dtype=np.uint8)
    cv2.circle(picture, (640, 360), 120, (220, 40, 40), -1)
    prompts: dict[int, Prompt] = {n + 1: Box(100 + 140 * n, 200, 220 + 140 * n, 500) for n in range(objects)}
    tracker, taken, segmented = VideoTracker(sessions, options), list[float](), list[bool]()
    count = FRAMES if options.update_interval == 1 else 3 * FRAMES
    for index in range(count):
        begun = time.perf_counter()
        result = tracker.step(Frame(index, index / 30, picture), prompts if index == 0 else None)
        taken.append(1e3 * (time.perf_counter() - begun))
        segmented.append(result.stale is None)
    settled = list(zip(taken, segmented, strict=True))[FILLED if count == FRAMES else 2 * FRAMES - 2 :]
    parts = [[ms for ms, ran in settled if ran is kind] for kind in (True, False)]
    share = len(parts[0]) / len(settled)
    return sum(w * statistics.median(p) for w, p in ((share, parts[0]), (1 - share, parts[1])) if p), share


def nano(given: argparse.Namespace) -> str:
    """The points that the search chooses for budgets at shares of the exact pipeline's latency."""
    found: list[Chosen] = []
    errors, told = [], lambda *said: None
    with tempfile.TemporaryDirectory() as folder:
        clips = _clips(Path(folder))
        models = Models([Bundle.load(given.bundle, check_hashes=False)], given.threads)
        exact = ExactMasks(Path(folder), clips)
        exact.record(models, told)
        outcome = exact.outcome(models)
        journal = Journal(Path(folder) / "journal", "benchmark")
        knobs = Knobs.of(models.bundles[0].model, phrases=False)
        begun = time.perf_counter()
        for number, share in enumerate(given.share, start=1):
            end_s = begun + given.seconds * number / len(given.share)
            goal = Goal(share * outcome.times.mean, 1.0)
            search = Search(models, knobs, Trial(models, clips, exact.masks()), goal, journal, told, end_s)
            search.run(clips, outcome)
            chosen = search.chosen()
            errors.append(report(search, clips, 0.0).error or 0.0)
            if chosen is not None:
                place = models.place(chosen.point)
                found.append(
                    Chosen(goal.target_ms, chosen.point, place, chosen.times.mean, chosen.predicted_ms, chosen.loss)
                )
            print(
                share, chosen and (str(chosen.point), chosen.times.mean, chosen.loss), len(search.outcomes), flush=True
            )
    given.points.write_bytes(msgspec.json.encode(found))
    lines = [
        f"nano at 256, 192 and 128 px, whole and foveated, {given.threads} threads, {objects_of(clips)} objects; one "
        f"clip searched, two that prove; exact pipeline {outcome.times.mean:.1f} ms. At most 1.0 point of J&F to lose.",
        "",
        "| budget | chosen | ms | predicted | J&F lost on the clips that prove |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {one.target_ms:.1f} | {one.point} | {one.ms:.1f} | {one.predicted_ms or 0:.1f} | {one.loss:+.2f} |"
        for one in found
    ]
    lines += ["", f"Predicted and measured latency of all points tried differ by {max(errors):.1%} (median)."]
    return "\n".join(lines)


def _clips(folder: Path) -> list[Clip]:
    """Three cluttered clips that neither train nor judge."""
    from clicks import centre_click
    from folder import write_clip
    from scenes import HELD_OUT_SEED, render

    clips = []
    for number in range(3):
        scene = render("cluttered", HELD_OUT_SEED + SEARCHED_FROM + number, 256)
        write_clip(folder / str(number), scene.frames, scene.labels)
        prompts: dict[int, Prompt] = {i: Points.click(*centre_click(scene.labels[0] == i)) for i in scene.ids}
        truth = open_truth(folder / str(number) / "masks")
        clips.append(Clip(str(folder / str(number) / "frames"), {0: prompts}, {}, truth=truth))
    return clips


def held_out(given: argparse.Namespace) -> str:
    """J&F of chosen points on held-out clips."""
    from scenes import held_out as clips_of
    from scoring import figures

    cv2.setNumThreads(1)
    models = Models([Bundle.load(given.bundle, check_hashes=False)], 1)
    chosen = msgspec.json.decode(given.points.read_bytes(), type=list[Chosen])
    points = {one.point: f"budget {one.target_ms:.1f} ms: {one.point}" for one in chosen}
    for one in chosen:
        models.places[(one.point.bundle, one.point.form), one.point.numerics] = one.place
    names = {models.exact: f"exact: {models.exact}", **points}
    rows: dict[str, list[float]] = {name: [] for name in names.values()}
    for kind in ("cluttered", "rich"):
        clips = list(clips_of(kind, given.clips, 256))
        for point, name in names.items():
            with models.open(point) as sessions:
                rows[name].append(100 * figures(list(tracks(sessions, clips, point.options)), 1.0).JF)
            print(kind, name, f"{rows[name][-1]:.2f}", flush=True)
    lines = [
        f"{given.clips} clips of each kind, two objects, one click each, of seeds that were neither trained nor "
        "searched on.",
        "",
        "| | cluttered J&F | rich J&F | lost, cluttered | lost, rich |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    best = rows[f"exact: {models.exact}"]
    for name, jf in rows.items():
        lost = [f"{one - other:.2f}" for one, other in zip(best, jf, strict=True)]
        lines.append(f"| {name} | {' | '.join([*(f'{each:.2f}' for each in jf), *lost])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts: dict[str, Callable[[argparse.Namespace], Any]] = {"tiny": tiny, "nano": nano, "held-out": held_out}
    parser.add_argument("part", choices=parts)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--checkpoint", type=Path, help="of tiny, to time its modules in torch, too")
    parser.add_argument("--points", type=Path, default=Path("points.json"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--share", type=float, nargs="+", default=SHARES, help="budgets, of the exact pipeline's time")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    text = parts[given.part](given)
    print(text)
    if given.write:
        words = {"tiny": "--bundle tiny.bundle --checkpoint tiny"}
        words["held-out"] = f"--bundle nano.bundle --clips {given.clips}"
        shares = " ".join(map(str, given.share))
        words["nano"] = f"--bundle nano.bundle --share {shares} --seconds {given.seconds:g}"
        command = f"{given.part} {words[given.part]} --threads {given.threads} --write"
        keep(f"tune {given.part}", text, f"python profiles/benchmarks/tune_front.py {command}")


if __name__ == "__main__":
    main()
