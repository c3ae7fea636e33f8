"""Latency of each stage: the ordinary pipeline, with every session wrapped in one that times."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from masklet.runtime.session import Feeds, Session
from masklet.runtime.spec import StageSpec, Tensor

Clock = Callable[[], int]  # nanoseconds


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles of one stage's calls, in milliseconds."""

    calls: int
    p50_ms: float
    p90_ms: float
    p99_ms: float
    total_ms: float


@dataclass
class StageTimes:
    """What was timed: nanoseconds of each call, by stage, in the order in which stages were first run.

    clock: a monotonic clock in nanoseconds; tests inject their own.
    """

    clock: Clock = time.perf_counter_ns
    calls_ns: dict[str, list[int]] = field(default_factory=dict)

    def wrap(self, session: Session) -> "TimedSession":
        """Time every call of a session; give this to `Sessions.open`."""
        return TimedSession(session, self)

    def forget(self) -> None:
        """Start again, after warm-up."""
        self.calls_ns.clear()

    def latency(self) -> dict[str, Latency]:
        """Percentiles by stage."""
        return {name: _latency(np.array(ns) / 1e6) for name, ns in self.calls_ns.items()}


class TimedSession:
    """A session that notes how long each call of another took."""

    def __init__(self, session: Session, times: StageTimes) -> None:
        self._session = session
        self._times = times

    @property
    def spec(self) -> StageSpec:
        return self._session.spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        began = self._times.clock()
        outputs = self._session.run(feeds)
        self._times.calls_ns.setdefault(self.spec.name, []).append(self._times.clock() - began)
        return outputs

    def close(self) -> None:
        self._session.close()


def _latency(calls_ms: Tensor) -> Latency:
    p50, p90, p99 = np.percentile(calls_ms, (50, 90, 99))
    return Latency(len(calls_ms), float(p50), float(p90), float(p99), float(calls_ms.sum()))
