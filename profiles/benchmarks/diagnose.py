"""Where the small checkpoint loses objects, whether the verdict finds damage, and what observing costs.

    python profiles/benchmarks/diagnose.py robustness [--clips 10] [--threads N] [--scratch FOLDER] [--write]
    python profiles/benchmarks/diagnose.py sabotage [--clips 10] [--scratch FOLDER] [--write]
    python profiles/benchmarks/diagnose.py overhead [--scratch FOLDER] [--write]

robustness: held-out cluttered and rich scenes at 256 px, two objects from their true first masks, five transformations
at three levels; FP32, and an INT8 bundle that was calibrated on other scenes. sabotage: each position damaged in each
of four ways from frame 12 on, FP32 and INT8. overhead: a frame observed beside a frame that is not, taking turns.
--scratch keeps the bundles. --write keeps the tables in diagnose.md beside this file, a part for each command.
"""

import argparse
import datetime
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

from masklet.calibration.diagnosis.observation import ObservedBundle  # noqa: E402
from masklet.calibration.diagnosis.observer.positions import Position  # noqa: E402
from masklet.calibration.diagnosis.pipeline import Plan, diagnose  # noqa: E402
from masklet.calibration.diagnosis.report.report import Condition, Means  # noqa: E402
from masklet.calibration.diagnosis.transformations.transformation import parse_transformations  # noqa: E402
from masklet.calibration.diagnosis.transformations.true_clip import Shot, TrueClip  # noqa: E402
from masklet.calibration.diagnosis.verdicts.verdict import verdicts  # noqa: E402
from masklet.runtime import Bundle, Frame, Mask, Points, Sessions, VideoTracker  # noqa: E402
from masklet.runtime.backends.ort.backend import OnnxRuntime  # noqa: E402
from masklet.runtime.prompts.prompts import Schedule  # noqa: E402

CHECKPOINT = HERE.parents[1] / "demos" / "nano" / "checkpoint"
PAGE = HERE / "diagnose.md"
PARTS = ("robustness", "sabotage", "overhead")
SIDE, FRAMES = 256, 30
CALIBRATED_ON = (11, 12, 13)  # seeds that training may draw, and that nothing is judged on
NAMES = [position.value for position in Position]


def bundles(folder: Path) -> tuple[Bundle, Bundle]:
    """The checkpoint at 256 px in FP32 and, calibrated within the bounds that are usual, in INT8."""
    from masklet.calibration.calibrate_bundle import CalibrationRequest, run_calibrate
    from masklet.calibration.clips.clips import Clip
    from masklet.calibration.scoring.closed_loop import Bound
    from masklet.export.family import Form
    from masklet.export.pipeline import export_bundle
    from masklet.runtime.bundle.bundle import BundleChoice
    from masklet.runtime.bundle.precision import Precision

    full, low = folder / "fp32.bundle", folder / "int8.bundle"
    if not full.exists():
        export_bundle(str(CHECKPOINT), full, [Form(SIDE)])
    if not low.exists():
        clips, truths = [], []
        for seed in CALIBRATED_ON:
            frames, masks, prompts = scene_on_disk(folder / f"scene{seed}", seed)
            clips.append(Clip(str(frames), prompts, {}))
            truths.append(masks)
        request = CalibrationRequest(
            bundle=BundleChoice(full),
            output=low,
            precision=Precision.INT8,
            method="percentile",
            bound=Bound(0.5, 0.985),
            search=True,
            seed=0,
            threads=None,
            force=False,
        )
        run_calibrate(request, clips, truths)
    return Bundle.load(full), Bundle.load(low)


def scene_on_disk(folder: Path, seed: int) -> tuple[Path, Path, Schedule]:
    """A cluttered scene as folders of frames and true masks, with its prompts."""
    from folder import write_clip
    from scenes import render

    clip = render("cluttered", seed, SIDE, FRAMES)
    if not folder.exists():
        write_clip(folder, clip.frames, clip.labels)
    prompts: Schedule = {0: {i: Mask(clip.labels[0] == i) for i in clip.ids}}
    return folder / "frames", folder / "masks", prompts


def true_clip(name: str, frames: np.ndarray, labels: np.ndarray, ids: Sequence[int]) -> TrueClip:
    """A rendered scene as a clip with truth."""
    packed = [{i: np.packbits(label == i) for i in ids} for label in labels]
    return TrueClip(name, frames, packed, tuple(ids), tuple(range(len(frames))))


def robustness(arguments: argparse.Namespace) -> str:
    """The table of positions, transformations and levels."""
    from scenes import held_out

    full, low = bundles(arguments.scratch)
    found: dict[str, list[list[Condition]]] = {"FP32": [], "INT8": []}
    begun, spent = time.perf_counter(), time.process_time()
    for name, bundle in (("FP32", full), ("INT8", low)):
        with ObservedBundle(bundle, threads=arguments.threads, shares=True) as observed:
            for kind in ("cluttered", "rich"):
                for number, clip in enumerate(held_out(kind, arguments.clips, SIDE, FRAMES)):
                    given: Schedule = {0: {i: Mask(clip.labels[0] == i) for i in clip.ids}}
                    plan = Plan(
                        clip=true_clip(f"{kind}{number}", clip.frames, clip.labels, clip.ids),
                        schedule=given,
                        truth=True,
                        transformations=parse_transformations(["all"]),
                        seed=0,
                        pictures=False,
                    )
                    found[name].append(diagnose(observed, plan, lambda *_: None)[0].conditions)
                    print(f"{name}, {kind} {number}: {time.perf_counter() - begun:.0f} s", flush=True)
        if name == "FP32":
            wall, cpu = time.perf_counter() - begun, time.process_time() - spent
    lines = [
        f"{arguments.clips} cluttered and {arguments.clips} rich held-out scenes of {FRAMES} frames, {SIDE} px, two "
        f"objects each, followed from their true first masks. FP32 took {wall:.0f} s ({cpu:.0f} s of processor time). "
        "J and precision at each position, means over objects and frames in sight; how often an object was lost, and "
        "where first. INT8: calibrated on three other scenes.",
        "",
        f"| clip | J | {' | '.join(NAMES)} | lost | {' | '.join(f'at {name}' for name in NAMES)} |",
        "| --- |" + " ---: |" * (2 * len(NAMES) + 2),
        *(row(conditions) for conditions in zip(*found["FP32"], strict=True)),
        "",
        "INT8 less FP32:",
        "",
        f"| clip | J | {' | '.join(NAMES)} | lost |",
        "| --- |" + " ---: |" * (len(NAMES) + 2),
        *(
            difference(a, b)
            for a, b in zip(zip(*found["FP32"], strict=True), zip(*found["INT8"], strict=True), strict=True)
        ),
    ]
    return "\n".join(lines)


def summed(conditions: Sequence[Condition]) -> tuple[float, list[float], Counter[str]]:
    """J, precision at each position, and verdicts by position, over several clips of one condition."""
    seen = [m for c in conditions for m in c.measures if m.in_sight and not m.prompted]
    j = float(np.mean([m.j for m in seen if m.j is not None]))
    precisions = [Means.of(position, seen).precision or 0.0 for position in Position]
    lost = Counter(f.verdict.position.value for c in conditions for f in c.findings if f.verdict.kind == "breakdown")
    return j, precisions, lost


def row(conditions: Sequence[Condition]) -> str:
    """A row of the table."""
    j, precisions, lost = summed(conditions)
    cells = [conditions[0].name, f"{j:.3f}", *(f"{p:.3f}" for p in precisions), str(lost.total())]
    return f"| {' | '.join([*cells, *(str(lost[name]) for name in NAMES)])} |"


def difference(full: Sequence[Condition], low: Sequence[Condition]) -> str:
    """A row of the differences."""
    (j, precisions, lost), (j_low, precisions_low, lost_low) = summed(full), summed(low)
    changed = [f"{b - a:+.3f}" for a, b in zip((j, *precisions), (j_low, *precisions_low), strict=True)]
    return f"| {' | '.join([full[0].name, *changed, f'{lost.total()} → {lost_low.total()}'])} |"


def sabotage(arguments: argparse.Namespace) -> str:
    """How often the verdict names what was damaged."""
    import judged_clips as held_out_clips
    from judged_clips import SINCE, first_lost, follow, judged_clips
    from sabotage import DAMAGES, Sabotage

    lines = [
        f"{arguments.clips} held-out scenes from seed 300 on, {SIDE} px, {held_out_clips.FRAMES} frames, each with an "
        "object that stays in sight and that the undamaged model keeps (J from 0.5 on every frame), one click; damage "
        f"from frame {SINCE} on. In each cell: on how many clips the damaged position was named first; in brackets, on "
        "how many J fell below half. Undamaged: on how many clips no position was blamed.",
    ]
    for kind in ("cluttered", "rich"):
        for name, bundle in zip(("FP32", "INT8"), bundles(arguments.scratch), strict=True):
            judged = judged_clips(bundle, kind, arguments.clips)
            quiet = sum(not verdicts(each.measures) for each in judged)
            lines += ["", f"**{kind}, {name}**; undamaged {quiet} of {len(judged)}", ""]
            lines += [f"| damaged | {' | '.join(DAMAGES)} |", "| --- |" + " ---: |" * len(DAMAGES)]
            for position in Position:
                cells = []
                for damage in DAMAGES.values():
                    backend = Sabotage(position, damage, SINCE)
                    with ObservedBundle(bundle, backend=backend) as observed:
                        found = [verdicts(follow(observed, each.clip, each.label, backend)) for each in judged]
                    named = [v for v in map(first_lost, found) if v and v.position is position and v.since >= SINCE]
                    broken = sum(any(v.kind == "breakdown" for v in each) for each in found)
                    cells.append(f"{len(named)} ({broken})")
                    print(kind, name, position.value, cells, flush=True)
                lines.append(f"| {position.value} | {' | '.join(cells)} |")
    return "\n".join(lines)


def overhead(arguments: argparse.Namespace) -> str:
    """A frame observed, with attention shares and without, beside a frame that is not."""
    from clicks import centre_click
    from scenes import HELD_OUT_SEED, render

    full, _ = bundles(arguments.scratch)
    clip = render("cluttered", HELD_OUT_SEED + 101, SIDE, FRAMES)
    click = Points.click(*centre_click(clip.labels[0] == 1))
    shots = [(n, Shot(f, {1: label == 1})) for n, (f, label) in enumerate(zip(clip.frames, clip.labels, strict=True))]
    sessions = Sessions.open(full, OnnxRuntime(arguments.threads))
    observed = [ObservedBundle(full, threads=arguments.threads, shares=shares) for shares in (False, True)]

    def plain() -> None:
        tracker = VideoTracker(sessions)
        for number, shot in shots:
            tracker.step(Frame(number, number / 30, shot.image), {1: click} if number == 0 else {})

    runs: list[Callable[[], object]] = [plain]
    runs += [partial(each.follow, shots, {0: {1: click}}, lambda: None) for each in observed]
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(arguments.rounds + 1):
        for run, took in zip(runs, times, strict=True):
            begun = time.process_time()
            run()
            took.append(time.process_time() - begun)
    each = [statistics.median(took[1:]) / len(shots) * 1e3 for took in times]
    return "\n".join(
        [
            f"One object, {SIDE} px, {len(shots)} frames, {arguments.threads or 'all'} threads, medians of "
            f"{arguments.rounds} rounds that take turns, processor time.",
            "",
            "| | ms a frame | more |",
            "| --- | ---: | ---: |",
            f"| not observed | {each[0]:.2f} | |",
            f"| observed and measured | {each[1]:.2f} | {each[1] / each[0] - 1:+.0%} |",
            f"| with attention shares | {each[2]:.2f} | {each[2] / each[0] - 1:+.0%} |",
        ]
    )


def cpu() -> str:
    """The processor's name."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return names[0] if names else "unknown processor"


def keep(part: str, text: str) -> None:
    """Put a part into the page, in place of what it was."""
    page = PAGE.read_text() if PAGE.exists() else "# Where objects are lost\n"
    parts = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    head = re.split(rf"^## (?:{'|'.join(PARTS)})\n", page, maxsplit=1, flags=re.MULTILINE)[0].rstrip()
    parts[part] = f"\n{text}\n\n"
    PAGE.write_text(head + "\n\n" + "".join(f"## {p}\n{parts[p]}" for p in PARTS if p in parts).rstrip() + "\n")


@contextmanager
def scratch(given: Path | None) -> Iterator[Path]:
    """The folder that was given, or one that goes again."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> int:
    """Run a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--clips", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    words = " ".join(word for word in sys.argv[1:] if not word.startswith("/"))
    given = arguments.scratch
    with scratch(given) as folder:
        arguments.scratch = folder
        text = {"robustness": robustness, "sabotage": sabotage, "overhead": overhead}[arguments.part](arguments)
    words = re.sub(r"\s*--scratch\s*\S*", "", words)
    stamp = f"{datetime.date.today()}, {cpu()}. `python profiles/benchmarks/diagnose.py {words}`"
    print(text)
    if arguments.write:
        keep(arguments.part, f"{stamp}\n\n{text}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
