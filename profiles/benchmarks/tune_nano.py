"""Budgets of the nano: what `masklet tune` chooses, whether other points are better, and what a run then takes.

    python profiles/benchmarks/tune_nano.py PART --bundle NANO --work FOLDER [--threads N] [--seconds N] [--write]

NANO: the nano with --image-size 256, 192 and 128, --foveated. The parts, in their order; FOLDER keeps what they find:
stages: every stage timed on every backend. score: J&F of every point of the knobs on the clips that prove. time: the
latency of every point. search: budgets at shares of the exact pipeline's latency, and the points chosen. grid: the
chosen points against all others. run: `masklet run` of the tuned bundles. held-out: J&F of the chosen points on 20
clips that were neither trained nor searched on. stages, time, search and run want an idle machine. --write keeps the
tables in tune.md.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path = [path for path in sys.path if path != str(HERE)]  # openvino.py beside this file is not the package
sys.path += [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

import cv2  # noqa: E402
import msgspec  # noqa: E402
from masklet.calibration.clips.clips import Clip  # noqa: E402
from masklet.calibration.clips.truth import open_truth  # noqa: E402
from masklet.calibration.scoring.closed_loop import judge  # noqa: E402
from masklet.calibration.tuning.exact import ExactMasks  # noqa: E402
from masklet.calibration.tuning.journal import Journal  # noqa: E402
from masklet.calibration.tuning.knobs import Knobs  # noqa: E402
from masklet.calibration.tuning.models import Models  # noqa: E402
from masklet.calibration.tuning.point import Point  # noqa: E402
from masklet.calibration.tuning.report import objects_of, report, tuning  # noqa: E402
from masklet.calibration.tuning.search import Goal, Search  # noqa: E402
from masklet.calibration.tuning.trial import (  # noqa: E402
    Outcome,
    TimedFrames,
    Trial,
    proving,
    timed_session,
    times_of,
    tracker_of,
)
from masklet.calibration.tuning.write import write_tuned  # noqa: E402
from masklet.runtime.backends.sessions import Sessions  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Points, Prompt  # noqa: E402
from tune import keep, tracks  # type: ignore[import-not-found] # noqa: E402

KNOBS = Knobs(frames=(None, 2), pointers=(None,), updates=(1, 2, 3), detections=(1,))
SHARES = (0.75, 0.6, 0.5, 0.25)
ALLOWED = 1.0  # points of J&F
SEARCHED_FROM = 100  # seeds of the clips that are searched, after those that judge
FASTER, BETTER = 1.05, 0.5  # by how much a point is much faster, and better in points of J&F
TIMED = 20  # frames of the clip on which every point is timed
SHORT, LONG = 60, 180  # frames of the clip of which a run takes its time
PARTS = ("stages", "score", "time", "search", "grid", "run", "held-out")


class Known(msgspec.Struct, frozen=True):
    """What is known of a point: points of J&F lost, or milliseconds of a frame."""

    point: Point
    value: float


class Chosen(msgspec.Struct, frozen=True):
    """A budget and the point that was chosen for it, if any. place: of its stages. error: of predicted latencies."""

    target_ms: float
    outcome: Outcome | None
    place: dict[str, str]
    tried: int
    error: float


class Nano:
    """The nano, its clips, and what was found in a folder."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.work: Path = given.work
        self.work.mkdir(exist_ok=True)
        self.given, self.models = given, Models([Bundle.load(given.bundle, check_hashes=False)], given.threads)
        self.journal = Journal(self.work / "journal.jsonl", "benchmark")

    @cached_property
    def clips(self) -> list[Clip]:
        """Three cluttered clips that neither train nor judge: one is searched, two prove."""
        from clicks import centre_click
        from folder import write_clip
        from scenes import HELD_OUT_SEED, render

        clips = []
        for number in range(3):
            scene, folder = (
                render("cluttered", HELD_OUT_SEED + SEARCHED_FROM + number, 256),
                self.work / f"clip{number}",
            )
            if not folder.exists():
                write_clip(folder, scene.frames, scene.labels)
            prompts: dict[int, Prompt] = {i: Points.click(*centre_click(scene.labels[0] == i)) for i in scene.ids}
            clips.append(Clip(str(folder / "frames"), {0: prompts}, {}, truth=open_truth(folder / "masks")))
        return clips

    @cached_property
    def exact(self) -> ExactMasks:
        """Masks of the exact pipeline."""
        masks = ExactMasks(self.work, self.clips)
        masks.record(self.models, lambda *said: None)
        return masks

    def search(self, goal: Goal, end_s: float) -> Search:
        """A search that knows the times of stages."""
        trial = Trial(self.models, self.clips, self.exact.masks())
        return Search(self.models, KNOBS, trial, goal, self.journal, lambda *said: None, end_s)

    def place_stages(self) -> None:
        """Time every stage, unless that was done, and let each run where it is fastest."""
        self.search(Goal(1.0, ALLOWED), time.perf_counter() + 1e6)._measure_stages(self.clips[0])

    def groups(self) -> Iterator[tuple[list[Point], Callable[[Callable[..., object] | None], Sessions]]]:
        """The points that run on the same graphs, and how these are opened."""
        groups: dict[tuple[str, str], list[Point]] = {}
        for point in KNOBS.points(self.models):
            groups.setdefault((point.form, point.numerics), []).append(point)
        for points in groups.values():
            yield points, lambda wrap=None, first=points[0]: self.models.open(first, wrap)  # type: ignore[misc]

    def known(self, part: str) -> dict[Point, float]:
        """What a part has found."""
        path = self.work / f"{part}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return {one.point: one.value for one in (msgspec.json.decode(line, type=Known) for line in lines)}

    def find(self, part: str, points: list[Point], value: Callable[[Point], float]) -> None:
        """Find a value of points, a line each; those that are known already are left out."""
        known = self.known(part)
        with (self.work / f"{part}.jsonl").open("ab") as file:
            for point in points:
                if point not in known:
                    file.write(msgspec.json.encode(Known(point, value(point))) + b"\n")
                    file.flush()

    @property
    def chosen(self) -> list[Chosen]:
        """What `search` has chosen."""
        return msgspec.json.decode((self.work / "chosen.json").read_bytes(), type=list[Chosen])


def stages(nano: Nano) -> None:
    """Time stages."""
    nano.place_stages()


def score(nano: Nano) -> None:
    """Points of J&F that each point loses on the clips that prove."""
    nano.place_stages()
    clips = proving(nano.clips)
    masks = nano.exact.masks()[-len(clips) :]
    for points, open_ in nano.groups():
        with open_(None) as sessions:

            def lost(point: Point, sessions: Sessions = sessions) -> float:
                def follow(clip: Clip) -> Iterator[object]:
                    return TimedFrames().follow(tracker_of(point, clip, sessions), clip, time.perf_counter)

                return float(judge(clips, masks, follow, lambda done: None).figures.drop or 0.0)  # type: ignore[arg-type]

            nano.find("score", points, lost)
        print(points[0], len(nano.known("score")), flush=True)


def clock(nano: Nano) -> None:
    """Milliseconds of a frame of each point, over the beginning of a clip that proves."""
    nano.place_stages()
    for points, open_ in nano.groups():
        timed = [TimedFrames()]
        with open_(lambda session: timed_session(session, timed, time.perf_counter)) as sessions:  # noqa: B023

            def taken(point: Point, sessions: Sessions = sessions, timed: list[TimedFrames] = timed) -> float:
                timed[:] = [TimedFrames()]
                clip = replace(nano.clips[-1], cut={"end": TIMED})
                tracker = tracker_of(point, clip, sessions)
                deque(timed[0].follow(tracker, clip, time.perf_counter), maxlen=0)
                return times_of(timed, 7).mean

            nano.find("time", points, taken)
        print(points[0], len(nano.known("time")), flush=True)


def search(nano: Nano) -> str:
    """The points that the search chooses for budgets at shares of the exact pipeline's latency."""
    exact, found = nano.exact.outcome(nano.models), list[Chosen]()
    for old in nano.work.glob("*.bundle"):
        subprocess.run(["rm", "-r", old], check=True)
    for share in nano.given.share:
        goal = Goal(share * exact.times.mean, ALLOWED)
        one = nano.search(goal, time.perf_counter() + nano.given.seconds / len(nano.given.share))
        one.run(nano.clips, exact)
        chosen = one.chosen()
        place = {} if chosen is None else nano.models.place(chosen.point)
        found.append(
            Chosen(goal.target_ms, chosen, place, len(one.outcomes), report(one, nano.clips, 0.0).error or 0.0)
        )
        for outcome in one.front():
            point = outcome.point
            written = tuning(one, outcome, nano.clips)
            root = nano.work / f"{str(point).replace(', ', '_').replace(' ', '-').replace(':', '')}.bundle"
            write_tuned(nano.models.bundle((0, point.form)), written, root, replace=True)
        print(share, chosen and (str(chosen.point), chosen.times.mean, chosen.loss), found[-1].tried, flush=True)
    (nano.work / "chosen.json").write_bytes(msgspec.json.encode(found))
    lines = [
        f"nano at 256, 192 and 128 px, whole and foveated, {nano.given.threads} threads, {objects_of(nano.clips)} "
        "objects; recent frames all or 2, update interval 1 to 3; one clip searched, two that prove; exact pipeline "
        f"{exact.times.mean:.1f} ms. At most {ALLOWED} point of J&F to lose; {nano.given.seconds:g} s for all budgets.",
        "",
        "| budget | chosen | ms | predicted | J&F lost on the clips that prove | points tried |",
        "| ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for each in found:
        if each.outcome is None:
            lines.append(f"| {each.target_ms:.1f} | nothing | | | | {each.tried} |")
            continue
        o = each.outcome
        predicted = f"{o.predicted_ms:.1f}" if o.predicted_ms else ""
        name = f"{o.point}, {o.threads} threads" if o.threads else f"{o.point}"
        lines.append(
            f"| {each.target_ms:.1f} | {name} | {o.times.mean:.1f} | {predicted} | {o.loss:+.2f} | {each.tried} |"
        )
    error = max(each.error for each in found)
    return "\n".join(
        [*lines, "", f"Predicted and measured latency of all points tried differ by {error:.1%} (median)."]
    )


def grid(nano: Nano) -> str:
    """The chosen points against all others."""
    loss, ms = nano.known("score"), nano.known("time")
    points = [point for point in loss if point in ms]
    exact = ms[nano.models.exact]
    kept = [point for point in points if loss[point] <= ALLOWED]
    fastest, fastest_kept = min(points, key=ms.__getitem__), min(kept, key=ms.__getitem__)
    lines = [
        f"Every one of {len(points)} points of these knobs: J&F on the two clips that prove, and a frame's time over "
        f"{TIMED} frames of one of them, {nano.given.threads} threads; exact pipeline {exact:.1f} ms.",
        "",
        f"The fastest point of all takes {ms[fastest]:.1f} ms, {ms[fastest] / exact:.0%} of the exact pipeline, and "
        f"loses {loss[fastest]:.2f} points: {fastest}. The fastest that loses at most {ALLOWED} takes "
        f"{ms[fastest_kept]:.1f} ms, {ms[fastest_kept] / exact:.0%}, and loses {loss[fastest_kept]:+.2f}: "
        f"{fastest_kept}.",
        "",
        "| budget | least lost within it | ms | lost | points within it that lose at most 1.0 |",
        "| ---: | --- | ---: | ---: | ---: |",
    ]
    for share in SHARES:
        within = [point for point in points if ms[point] <= share * exact]
        if not within:
            lines.append(f"| {share * exact:.1f} ({share:.0%}) | nothing | | | 0 |")
            continue
        best = min(within, key=loss.__getitem__)
        good = sum(loss[point] <= ALLOWED for point in within)
        lines.append(f"| {share * exact:.1f} ({share:.0%}) | {best} | {ms[best]:.1f} | {loss[best]:+.2f} | {good} |")
    lines += ["", *_beaten(nano, points, loss, ms)]
    return "\n".join(lines)


def _beaten(nano: Nano, points: list[Point], loss: dict[Point, float], ms: dict[Point, float]) -> Iterator[str]:
    """Whether any point is much faster and much better than a chosen one, both as the grid measured them."""
    for one in nano.chosen:
        if one.outcome is None or one.outcome.point not in ms:
            continue
        mine = one.outcome.point
        better = [p for p in points if ms[p] < ms[mine] / FASTER and loss[p] < loss[mine] - BETTER]
        said = f"{len(better)} points are" if better else "no point is"
        best = f"; of them {min(better, key=loss.__getitem__)}" if better else ""
        yield (
            f"At {one.target_ms:.1f} ms the search chose {mine} ({ms[mine]:.1f} ms and {loss[mine]:+.2f} points lost "
            f"in the grid): {said} faster by 5 % and better by {BETTER} points{best}."
        )


def run(nano: Nano) -> str:
    """What `masklet run` takes for a frame of each tuned bundle, against what tuning has recorded."""
    clip, prompts = _long_clip(nano.work)
    lines = [
        f"`masklet run TUNED clip.mp4 --masks`: what {LONG} frames take longer than {SHORT}, by frame, against what is "
        f"recorded in the bundle; two objects, {nano.given.threads} threads, the shorter of two runs each.",
        "",
        "| point | recorded ms | measured ms | difference |",
        "| --- | ---: | ---: | ---: |",
    ]
    off = []
    for root in sorted(nano.work.glob("*.bundle")):
        recorded = Bundle.load(root, check_hashes=False).manifest.tuning
        assert recorded is not None
        short, long = (min(_wall(root, clip, prompts, frames) for _ in range(2)) for frames in (SHORT, LONG))
        measured = 1e3 * (long - short) / (LONG - SHORT)
        off.append(abs(measured / recorded.ms - 1))
        name = root.stem.replace("_", ", ").replace("-", " ")
        lines.append(f"| {name} | {recorded.ms:.1f} | {measured:.1f} | {measured / recorded.ms - 1:+.1%} |")
        print(lines[-1], flush=True)
    return "\n".join([*lines, "", f"Median difference {statistics.median(off):.1%} over {len(off)} points."])


def _long_clip(work: Path) -> tuple[Path, list[str]]:
    """A long clip, and its prompts in the words of the command line."""
    from clicks import centre_click
    from folder import write_clip
    from scenes import HELD_OUT_SEED, render

    scene = render("cluttered", HELD_OUT_SEED + SEARCHED_FROM, 256, LONG)
    if not (work / "long").exists():
        write_clip(work / "long", scene.frames, scene.labels)
    words = []
    for i in scene.ids:
        x, y = centre_click(scene.labels[0] == i)
        words += ["--point", f"{i}:{x:g},{y:g}"]
    return work / "long" / "video.mp4", words


def _wall(root: Path, clip: Path, prompts: list[str], frames: int) -> float:
    """Seconds of a run over the first frames of a clip."""
    masklet, masks = Path(sys.executable).with_name("masklet"), root.with_suffix(".jsonl")
    begun = time.perf_counter()
    command: list[str | Path] = [masklet, "run", root, clip, *prompts, "--end", str(frames), "--masks", masks]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begun


def held_out(nano: Nano) -> str:
    """J&F of chosen points on held-out clips."""
    from scenes import held_out as clips_of
    from scoring import figures

    cv2.setNumThreads(1)
    models, names = Models(nano.models.bundles, 1), {nano.models.exact: f"exact: {nano.models.exact}"}
    for one in nano.chosen:
        if one.outcome is not None:
            point = one.outcome.point
            models.places[(point.bundle, point.form), point.numerics] = one.place
            names[point] = f"{one.target_ms:.1f} ms: {point}"
    kinds = ("cluttered", "rich")
    for kind in kinds:
        clips = list(clips_of(kind, nano.given.clips, 256))

        def jf(point: Point, clips: list[Any] = clips) -> float:
            with models.open(point) as sessions:
                return 100 * float(figures(list(tracks(sessions, clips, point.options)), 1.0).JF)

        nano.find(f"held-out-{kind}", list(names), jf)
    found = [nano.known(f"held-out-{kind}") for kind in kinds]
    rows = {point: [each[point] for each in found] for point in names}
    lines = [
        f"The points of the budgets above on {nano.given.clips} clips of each kind, two objects, one click each, of "
        "seeds that were neither trained nor searched on.",
        "",
        "| budget | cluttered J&F | rich J&F | lost, cluttered | lost, rich |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for point, name in names.items():
        lost = [f"{one - other:+.2f}" for one, other in zip(rows[models.exact], rows[point], strict=True)]
        lines.append(f"| {name} | {' | '.join([*(f'{jf:.2f}' for jf in rows[point]), *lost])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=600, help="of the search, for all budgets together")
    parser.add_argument("--share", type=float, nargs="+", default=SHARES, help="budgets, of the exact pipeline's time")
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    parts = dict(zip(PARTS, (stages, score, clock, search, grid, run, held_out), strict=True))
    text = parts[given.part](Nano(given))
    if text is None:
        return
    print(text)
    if given.write:
        more = {"search": f" --seconds {given.seconds:g}", "held-out": f" --clips {given.clips}"}.get(given.part, "")
        command = f"{given.part} --bundle nano.bundle --work nano --threads {given.threads}{more} --write"
        keep(f"tune nano, {given.part}", text, f"python profiles/benchmarks/tune_nano.py {command}")


if __name__ == "__main__":
    main()
