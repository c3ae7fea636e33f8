"""The dynamic model of a graph, which is not believed before it agreed with one of a fixed shape.

OpenVINO decides on some fusions by shapes that it does not know yet: 2026.4 adds a map of one frame and maps of several
objects in place, and what comes out for the second object is garbage; elsewhere the process dies. Whether sizes are 1
or more decides what is broadcast, so the first call of each such pattern is run on both models and compared, and the
answer is kept on disk.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec
from masklet.runtime.backends.output_error import OutputError, output_error
from masklet.runtime.backends.ov.graph import CompiledGraph, StageGraph
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SessionError

NOTE = "dynamic.json"
AGREES, DIFFERS, BEGUN = "agrees", "differs", "begun"  # "begun" stays of a process that died over it
EXACT = 1e-3  # relative error of an output that is computed in FP32
ROUNDED = 0.3  # in fewer bits, where a mask that is chosen among several may be another one; garbage is beyond 1


class DynamicModel:
    """A graph compiled for all shapes. Notes are kept in the graph's folder of the cache, if it has one."""

    def __init__(self, graph: StageGraph) -> None:
        self._graph = graph
        self._compiled: CompiledGraph | None = None
        self._note = None if graph.cache is None else graph.cache / NOTE
        self._notes = _read(self._note)

    def run(self, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Tensor] | None:
        """Run; None where it does not compute what a model of that shape does."""
        pattern = "".join("1" if size == 1 else "n" for size in sizes.values())
        known = self._notes.get(pattern)
        if known is None:
            return self._compared(pattern, feeds, sizes)
        return self._dynamic().run(feeds, sizes) if known == AGREES else None

    def _compared(self, pattern: str, feeds: Feeds, sizes: Mapping[str, int]) -> dict[str, Tensor]:
        self._keep(pattern, BEGUN)
        wanted = self._graph.compile(sizes).run(feeds, sizes)
        self._keep(pattern, AGREES if self._agrees(wanted, feeds, sizes) else DIFFERS)
        return wanted

    def _agrees(self, wanted: Mapping[str, Tensor], feeds: Feeds, sizes: Mapping[str, int]) -> bool:
        try:
            got = self._dynamic().run(feeds, sizes)
        except SessionError:  # NPUs take fixed shapes alone
            return False
        worst = OutputError()
        for name, want in wanted.items():
            worst = worst.or_worse(output_error(got[name], want))
        return worst.relative <= (EXACT if self._graph.exact else ROUNDED)

    def _dynamic(self) -> CompiledGraph:
        if self._compiled is None:
            self._compiled = self._graph.compile(on_disk=True)
        return self._compiled

    def _keep(self, pattern: str, word: str) -> None:
        self._notes[pattern] = word
        if self._note is not None:
            with suppress(OSError):
                self._note.write_bytes(msgspec.json.encode(self._notes))


def _read(note: Path | None) -> dict[str, str]:
    with suppress(OSError, msgspec.MsgspecError):
        if note is not None:
            return msgspec.json.decode(note.read_bytes(), type=dict[str, str])
    return {}
