"""The operators of one stage: how long ONNX Runtime spends on each, on the inputs of the last frame.

ONNX Runtime's own profiler slows a stage down, so it never runs while frames are measured: the stage is opened a second
time afterwards.
"""

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from masklet.runtime.backends.ort.backend import session_options
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import MaskletError

WARMUP, RUNS = 2, 10
KERNEL = "_kernel_time"


class Node(msgspec.Struct, frozen=True):
    """A node of the graph as ONNX Runtime runs it: its median over the runs, and its share of the stage, 0..1."""

    name: str
    operator: str
    ms: float
    share: float

    @property
    def label(self) -> str:
        """The name, with the operator where the name does not tell it."""
        return self.name if self.name.startswith(self.operator) else f"{self.name} ({self.operator})"


class Operator(msgspec.Struct, frozen=True):
    """All nodes of one operator together: their number, the sum of their medians, and its share of the stage, 0..1."""

    name: str
    nodes: int
    ms: float
    share: float


class StageOperators(msgspec.Struct, frozen=True):
    """The operators and the nodes of a stage, the slowest first. sizes: size of every axis that varies."""

    stage: str
    sizes: dict[str, int]
    runs: int
    operators: tuple[Operator, ...]
    nodes: tuple[Node, ...]


class LastFeeds:
    """Remembers the inputs of a stage's last call. wrap: for the sessions that are opened. stage: None for none."""

    def __init__(self, stage: str | None) -> None:
        self.stage = stage
        self.feeds: Feeds | None = None

    def wrap(self, session: Session) -> Session:
        return _Remembering(session, self) if session.spec.name == self.stage else session


class _Remembering(SessionAround):
    def __init__(self, session: Session, last: LastFeeds) -> None:
        super().__init__(session)
        self._last = last

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._last.feeds = feeds
        return super().run(feeds)


def time_operators(stage: StageSpec, graph: Path, feeds: Feeds, threads: int | None) -> StageOperators:
    """Run the graph of a stage on the CPU under ONNX Runtime's profiler.

    feeds: inputs of the stage by name. threads: None for all cores.
    Raises MaskletError if the profiler wrote nothing that can be read.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = session_options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "operators")
        session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        for _ in range(WARMUP + RUNS):
            session.run(None, dict(feeds))
        events = msgspec.json.decode(Path(session.end_profiling()).read_bytes())
    return StageOperators(stage.name, stage.check(feeds), RUNS, *summary(events))


def summary(events: Sequence[Mapping[str, Any]]) -> tuple[tuple[Operator, ...], tuple[Node, ...]]:
    """Operators and nodes of a profile that ONNX Runtime wrote: a list of events in the format of Chrome's tracing.

    An event of a node is named NODE_kernel_time, its `dur` is in microseconds, its `args` name the operator. The first
    WARMUP runs do not count.
    """
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            times[event["name"].removesuffix(KERNEL), event["args"]["op_name"]].append(event["dur"] / 1e3)
    medians = {key: float(np.median(ms[WARMUP:] or ms)) for key, ms in times.items()}
    whole = sum(medians.values())
    if not whole:
        raise MaskletError("ONNX Runtime's profiler timed no operator of this stage")
    nodes = [Node(name, operator, ms, ms / whole) for (name, operator), ms in medians.items()]
    by_operator: dict[str, list[float]] = defaultdict(list)
    for (_, operator), ms in medians.items():
        by_operator[operator].append(ms)
    operators = [Operator(name, len(ms), sum(ms), sum(ms) / whole) for name, ms in by_operator.items()]
    return (
        tuple(sorted(operators, key=lambda one: one.ms, reverse=True)),
        tuple(sorted(nodes, key=lambda one: one.ms, reverse=True)),
    )
