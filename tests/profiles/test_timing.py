"""Timing wraps sessions and counts with the clock that it is given."""

import numpy as np
from masklet.profiles.timing import StageTimes
from masklet.runtime.session import Feeds
from masklet.runtime.spec import StageSpec, Tensor, TensorSpec

SPEC = StageSpec("image_encoder", (TensorSpec("image", ("n",)),), (TensorSpec("feat", ("n",)),))


class Doubling:
    """A session that doubles, and takes as many milliseconds as it has numbers."""

    spec = SPEC

    def __init__(self) -> None:
        self.now_ns = 0
        self.closed = False

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self.now_ns += len(feeds["image"]) * 1_000_000
        return {"feat": feeds["image"] * 2}

    def close(self) -> None:
        self.closed = True


def test_each_call_is_timed_and_passed_on() -> None:
    inner = Doubling()
    times = StageTimes(clock=lambda: inner.now_ns)
    session = times.wrap(inner)
    for count in (1, 2, 3, 4, 100):
        out = session.run({"image": np.ones(count, np.float32)})
        assert (out["feat"] == 2).all()
    latency = times.latency()["image_encoder"]
    assert (latency.calls, latency.p50_ms, latency.total_ms) == (5, 3.0, 110.0)
    assert latency.p99_ms == np.percentile([1, 2, 3, 4, 100], 99)
    times.forget()
    assert times.latency() == {}
    session.close()
    assert inner.closed
