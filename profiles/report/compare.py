"""Compares two profiles: what changed, whether it exceeds the noise, and whether the runs are comparable.

A change is the ratio of the medians minus one. Its 95 % interval comes from a bootstrap over blocks of neighbouring
frames, because neighbours are correlated. A change must also exceed the drift, the difference between the two halves of
a run, because runs differ from each other.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.profiles.report.over_time import curves, throttling
from masklet.profiles.report.report import Report

FEWEST = 8  # minimum number of frames per run for a verdict
RESAMPLES = 1000
INTERVAL = (2.5, 97.5)  # percent
LONGEST = 60  # maximum number of characters of a value; longer ones, such as hashes, are cut
CLOCKS_APART = 0.1  # of medians over the runs, as a fraction
DEGREES_APART = 10.0
WHOLE = "capture to masks"
F64 = npt.NDArray[np.float64]


class Change(msgspec.Struct, frozen=True):
    """The change of one part from run A to run B: milliseconds per frame, changes as fractions of A."""

    name: str
    a_ms: float
    b_ms: float
    change: float
    low: float
    high: float
    drift: float
    frames: int

    @property
    def verdict(self) -> str:
        """The verdict as text, with the noise."""
        if self.frames < FEWEST:
            return f"no verdict from {self.frames} frames; at least {FEWEST} are needed"
        noise = f"95 % interval {self.low:+.1%} to {self.high:+.1%}, drift {self.drift:.1%}"
        if not self.stands_out:
            return f"no difference beyond the noise ({noise})"
        return f"B is {abs(self.change):.1%} {'slower' if self.change > 0 else 'faster'} ({noise})"

    @property
    def stands_out(self) -> bool:
        """Whether the interval excludes zero and the change exceeds the drift."""
        return self.frames >= FEWEST and not self.low <= 0 <= self.high and abs(self.change) > self.drift


class Comparison(msgspec.Struct, frozen=True):
    """differences: differences of the runs besides speed; changes: the whole frame first, then its parts."""

    differences: tuple[str, ...]
    changes: tuple[Change, ...]


def compare(a: Report, b: Report) -> Comparison:
    """Compare run B with run A, for all parts that both have."""
    changes = [change(WHOLE, np.array(a.series.frame_ms), np.array(b.series.frame_ms))]
    for name, ms in a.series.parts_ms.items():
        if name in b.series.parts_ms:
            changes.append(change(name, np.array(ms), np.array(b.series.parts_ms[name])))
    return Comparison(tuple(differences(a, b)), tuple(changes))


def change(name: str, a_ms: F64, b_ms: F64, seed: int = 0) -> Change:
    """Compare the frames of two runs, in order of measurement."""
    rng = np.random.default_rng(seed)
    before, after = float(np.median(a_ms)), float(np.median(b_ms))
    if before == 0:
        return Change(name, before, after, 0.0, 0.0, 0.0, 0.0, min(len(a_ms), len(b_ms)))
    ratios = _resampled(rng, b_ms) / np.maximum(_resampled(rng, a_ms), 1e-12)
    low, high = (np.percentile(ratios, INTERVAL) - 1).tolist()
    drift = max(_drift(a_ms), _drift(b_ms))
    return Change(name, before, after, after / before - 1, low, high, drift, min(len(a_ms), len(b_ms)))


def differences(a: Report, b: Report) -> Iterator[str]:
    """Name the differences of two runs that may explain a change."""
    for part in ("device", "bundle", "source"):
        left, right = msgspec.to_builtins(getattr(a, part)), msgspec.to_builtins(getattr(b, part))
        yield from _unlike(part, left, right)
    yield from _unlike("warmup", {"frames": a.warmup}, {"frames": b.warmup})
    for name in ("objects", "memories"):
        left, right = (sorted(set(getattr(report.series, name))) for report in (a, b))
        yield from _unlike("run", {name: left}, {name: right})
    yield from _machines_over_time(a, b)
    for label, report in (("A", a), ("B", b)):
        if report.device.busy:
            load = _words(report.device.before.load_average)
            yield f"{label} ran on a busy machine: load {load} on {report.device.cores} cores before it began"


def _unlike(where: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    for name in dict.fromkeys((*a, *b)):
        if name not in ("before", "after", "during") and a.get(name) != b.get(name):
            yield f"{where} {name.replace('_', ' ')}: A {_words(a.get(name))}, B {_words(b.get(name))}"


def _machines_over_time(a: Report, b: Report) -> Iterator[str]:
    left, right = (
        {f"{c.of if c.what == 'clock' else 'highest'} {c.what}": c for c in curves(r.device.during)} for r in (a, b)
    )
    for name in [name for name in left if name in right]:
        one, other = left[name], right[name]
        bound = {"clock": CLOCKS_APART * one.middle, "temperature": DEGREES_APART}.get(one.what, math.inf)
        if abs(one.middle - other.middle) > bound:
            yield f"run {name}: A {one}, B {other}"
    slowed = [throttling(report.device.during) for report in (a, b)]
    if any(slowed):
        yield "run throttling: " + ", ".join(
            f"{label} {one or 'none'}" for label, one in zip("AB", slowed, strict=True)
        )


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={item}" for name, item in value.items()) or "none"
    if isinstance(value, list | tuple):
        return " ".join(map(_words, value)) or "none"
    text = "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _resampled(rng: np.random.Generator, ms: F64) -> F64:
    """Medians of bootstrap samples, made of blocks of neighbouring frames."""
    count = len(ms)
    length = max(1, round(count ** (1 / 3)))
    starts = rng.integers(0, count - length + 1, (RESAMPLES, -(-count // length)))
    frames = (starts[:, :, None] + np.arange(length)).reshape(RESAMPLES, -1)[:, :count]
    return np.asarray(np.median(ms[frames], axis=1), np.float64)


def _drift(ms: F64) -> float:
    """The difference of the medians of both halves of a run, as a fraction of the median of the run."""
    middle = len(ms) // 2
    if not middle:
        return 0.0
    return float(abs(np.median(ms[middle:]) - np.median(ms[:middle])) / max(float(np.median(ms)), 1e-12))
