"""Compares each stage with the limits of the machine: the roofline model (Williams, Waterman, Patterson 2009).

A stage cannot be faster than its arithmetic at peak performance, nor than its memory traffic at peak bandwidth. The
larger of the two times is its limit; limit / measured time is the share of the limit that it reaches.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

import msgspec
from masklet.profiles.machine.cpu_peaks import Machine
from masklet.profiles.model.graph_cost import GraphCost
from masklet.profiles.recording.statistics import median
from masklet.profiles.recording.timeline import Call, FrameTimes, Sizes


class StageLimit(msgspec.Struct, frozen=True):
    """A stage on the roofline, at the most frequent sizes of its calls.

    intensity: operations per byte.
    bound:     whether arithmetic or bandwidth is the limit.
    share:     share of the limit that it reaches, 0..1 (above 1 if the measured peak was too low); None,
               unknown, if an operator could not be counted.
    """

    sizes: dict[str, int]
    calls: int
    p50_ms: float
    gflop: float
    mbytes: float
    gflops: float
    intensity: float
    limit_ms: float
    bound: str
    share: float | None
    uncounted: tuple[str, ...]

    @property
    def reached(self) -> str:
        """The share in words."""
        return "unknown" if self.share is None else f"{self.share:.0%}"


class Roofline(msgspec.Struct, frozen=True):
    """The peaks of the machine and every stage that ran."""

    machine: Machine
    stages: dict[str, StageLimit]


def usual_sizes(frames: Iterable[FrameTimes]) -> dict[str, Sizes]:
    """The most frequent sizes of each stage's calls; the later ones if several are equally frequent."""
    seen: dict[str, Counter[tuple[tuple[str, int], ...]]] = {}
    for call in _calls(frames):
        seen.setdefault(call.stage, Counter())[tuple(call.sizes.items())] += 1
    return {stage: dict(max(reversed(counts.items()), key=lambda item: item[1])[0]) for stage, counts in seen.items()}


def roofline(
    frames: Iterable[FrameTimes], costs: Mapping[str, GraphCost], machine: Machine, bf16: Collection[str] = ()
) -> Roofline:
    """Compare stages with the roofline.

    costs: of each stage at its usual sizes. bf16: stages that were computed in bfloat16, which has a peak of its own.
    """
    frames = list(frames)
    usual = usual_sizes(frames)
    taken = {
        name: [c.ended_ns - c.began_ns for c in _calls(frames) if (c.stage, c.sizes) == (name, usual[name])]
        for name in costs
    }
    limits = {name: _limit(usual[name], taken[name], costs[name], machine, bf16=name in bf16) for name in costs}
    return Roofline(machine, limits)


def _limit(sizes: Sizes, taken_ns: list[int], cost: GraphCost, machine: Machine, *, bf16: bool) -> StageLimit:
    arithmetic_ns, traffic_ns = cost.flops / machine.peak(bf16), cost.bytes / machine.gbytes
    limit_ns, measured_ns = max(arithmetic_ns, traffic_ns), median(taken_ns)
    return StageLimit(
        sizes=dict(sizes),
        calls=len(taken_ns),
        p50_ms=measured_ns / 1e6,
        gflop=cost.flops / 1e9,
        mbytes=cost.bytes / 1e6,
        gflops=cost.flops / measured_ns,
        intensity=cost.flops / cost.bytes if cost.bytes else 0.0,
        limit_ms=limit_ns / 1e6,
        bound="arithmetic" if arithmetic_ns >= traffic_ns else "bandwidth",
        share=None if cost.uncounted else limit_ns / measured_ns,
        uncounted=cost.uncounted,
    )


def _calls(frames: Iterable[FrameTimes]) -> Iterable[Call]:
    return (call for frame in frames for call in frame.calls)
