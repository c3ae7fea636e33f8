"""What a search found, as data: the JSON report, and what the page and the terminal show."""

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec
from masklet.calibration.clips.clips import Clip
from masklet.calibration.report.provenance import Provenance, provenance
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.search import Search
from masklet.calibration.tuning.trial import Outcome, proving
from masklet.runtime.bundle.tuning import Settings, Step, Tuning


class Row(msgspec.Struct, frozen=True):
    """A point that was tried.

    name:      its choices in words. knobs: the same by knob.
    ms, p95:   of a frame, on average and for 95 of 100. predicted_ms: before it ran; None where unknown.
    loss:      points of 100 lost (`Report.by`).
    iou, jf:   mask IoU with the exact pipeline; J&F against true masks in points, None without any.
    proved:    on the clips that prove (`Report.proved_on`).
    stages:    milliseconds of each stage in a frame. place: the backend of each, where that is not ONNX Runtime.
    """

    name: str
    knobs: dict[str, str]
    ms: float
    p95: float
    predicted_ms: float | None
    loss: float
    iou: float
    jf: float | None
    proved: bool
    stages: dict[str, float]
    place: dict[str, str]


class Alone(msgspec.Struct, frozen=True):
    """A knob turned alone, all others as in the exact pipeline. speed: times as fast."""

    knob: str
    row: Row
    speed: float


class Report(msgspec.Struct, frozen=True):
    """A search.

    proved_on: the clips on which what was chosen is judged: none that was searched, if there are several.
    by:       "J&F" against true masks, or "IoU" with the exact pipeline.
    chosen:   None where nothing fits. closest: then the points nearest to it, otherwise none.
    limits:   what keeps the closest points from fitting, in words.
    front:    the points than which no other is faster and more accurate, the fastest first. tried: all points.
    error:    how far predicted latencies were from measured ones, median share; None for fewer than two points.
    """

    family: str
    variant: str
    bundles: list[str]
    sources: list[str]
    proved_on: list[str]
    by: str
    objects: int
    target_ms: float
    max_loss: float
    exact: Row
    chosen: Row | None
    closest: list[Row]
    limits: str
    front: list[Row]
    tried: list[Row]
    alone: list[Alone]
    error: float | None
    minutes: float
    measured: Provenance


def report(search: Search, clips: Sequence[Clip], minutes: float) -> Report:
    """Sum a search up."""
    model = search.models.bundles[0].model
    chosen = search.chosen()
    closest = [] if chosen else closest_of(search)
    exact = search.exact
    return Report(
        family=model.family,
        variant=model.variant,
        bundles=[str(bundle.root) for bundle in search.models.bundles],
        sources=[clip.source for clip in clips],
        proved_on=[clip.source for clip in proving(clips)],
        by=exact.by,
        objects=objects_of(clips),
        target_ms=search.goal.target_ms,
        max_loss=search.goal.max_loss,
        exact=row(search, exact),
        chosen=None if chosen is None else row(search, chosen),
        closest=[row(search, outcome) for outcome in closest],
        limits=_limits(search, closest),
        front=[row(search, outcome) for outcome in search.front()],
        tried=[row(search, outcome) for outcome in search.outcomes],
        alone=[
            Alone(knob, row(search, outcome), exact.times.mean / max(outcome.times.mean, 1e-6))
            for knob, outcomes in search.prediction.alone.items()
            for outcome in outcomes
        ],
        error=_error(search),
        minutes=minutes,
        measured=provenance(),
    )


def row(search: Search, outcome: Outcome) -> Row:
    """A point that was tried."""
    point, figures, times = outcome.point, outcome.figures, outcome.times
    knobs = point.knobs()
    if outcome.threads is not None:
        knobs["threads"] = f"{outcome.threads} thread{'s' if outcome.threads > 1 else ''}"
    return Row(
        name=", ".join(knobs.values()),
        knobs=knobs,
        ms=times.mean,
        p95=times.p95,
        predicted_ms=outcome.predicted_ms,
        loss=outcome.loss,
        iou=figures.iou,
        jf=figures.jf,
        proved=outcome.proved,
        stages=times.stages,
        place=search.models.place(point),
    )


def closest_of(search: Search) -> list[Outcome]:
    """The most accurate point within the budget, and the fastest one that is accurate enough."""
    goal = search.goal
    fast = min((o for o in search.outcomes if o.times.mean <= goal.target_ms), key=lambda o: o.loss, default=None)
    good = next((o for o in search.outcomes if o.loss <= goal.max_loss), None)
    fastest = search.outcomes[0]
    return list({o.point: o for o in (fast or fastest, good) if o is not None}.values())


def tuning(search: Search, chosen: Outcome, clips: Sequence[Clip]) -> Tuning:
    """What a bundle says of how it was tuned."""
    point = chosen.point
    threads = chosen.threads or search.models.threads
    settings = Settings(search.models.place(point), threads, point.detail, point.attending)
    return Tuning(
        settings=settings,
        target_ms=search.goal.target_ms,
        ms=chosen.times.mean,
        exact_ms=search.exact.times.mean,
        loss=chosen.loss,
        by=chosen.by,
        steps=steps(search, point),
        objects=objects_of(clips),
        frames=chosen.figures.frames,
        cpu=provenance().cpu,
    )


def steps(search: Search, chosen: Point) -> tuple[Step, ...]:
    """The points that a run may step to without other graphs, from the most accurate to the fastest."""

    def same(point: Point) -> bool:
        held = ("form", "bundle", "numerics", "detail")
        return all(getattr(point, name) == getattr(chosen, name) for name in held)

    points = [point for point in search.points() if same(point)]
    found, predict = search.prediction.found, search.prediction
    ms = {p: found[p].times.mean if p in found else predict.ms(p) for p in points}
    settled = {one.point: one.times.mean / found[one.point].times.mean for one in search.outcomes}
    ms = {p: taken * settled.get(chosen, 1.0) for p, taken in ms.items()}  # all run with its threads
    loss = {p: predict.loss(p) for p in points}
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (ms[p], loss[p])):
        if not front or loss[point] < loss[front[-1]]:
            front.append(point)
    return tuple(Step(p.attending, round(ms[p], 3), round(loss[p], 3)) for p in reversed(front))


def objects_of(clips: Sequence[Clip]) -> int:
    """The most objects that are prompted in a clip."""
    return max(len({i for prompts in clip.schedule.values() for i in prompts}) for clip in clips)


def _error(search: Search) -> float | None:
    pairs = [(o.predicted_ms, o.times.mean) for o in search.outcomes if o.predicted_ms is not None]
    return statistics.median(abs(ms - taken) / taken for ms, taken in pairs) if len(pairs) > 1 else None


def _limits(search: Search, closest: Sequence[Outcome]) -> str:
    """Why the closest points do not fit, by what takes their time."""
    if not closest:
        return ""
    fastest, goal = search.outcomes[0], search.goal
    by = fastest.by
    if len(search.outcomes) == 1:
        return "the time was over before any other point was tried; allow more --minutes, the same command goes on"
    if fastest.times.mean > goal.target_ms:
        whole = fastest.times.mean
        stage, ms = max(fastest.times.stages.items(), key=lambda item: item[1], default=("the host", whole))
        return (
            f"the fastest point takes {whole:.1f} ms a frame, of which {stage} {ms:.1f} ms; export a smaller "
            "--image-size or --foveated, give an INT8 bundle with --with, or allow more milliseconds"
        )
    best = closest[0]
    return (
        f"within {goal.target_ms:.1f} ms the best point loses {best.loss:.2f} points of {by}, and {goal.max_loss} are "
        f"allowed; allow more with {'--max-drop' if by == 'J&F' else '--min-iou'}, or more milliseconds"
    )


def paths(output: Path) -> tuple[Path, Path]:
    """The files of the report beside a bundle: JSON and HTML."""
    return output.with_suffix(".report.json"), output.with_suffix(".report.html")
