"""Whether the dynamic model of a graph computes what those of fixed shapes do.

OpenVINO decides on some fusions by shapes that it does not know yet: 2026.4 adds a map of one frame and maps of several
objects in place, and what comes out for the second object is garbage; elsewhere the process dies. So a dynamic model is
compared with fixed ones before it is used, once for each graph, release, device and hint, and the answer is kept on
disk.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
from masklet.runtime.backends.output_error import OutputError, output_error
from masklet.runtime.backends.ov.graph import StageGraph
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError

NOTE = "dynamic"
AGREES, DIFFERS, BEGUN = "agrees", "differs", "begun"  # a note that stays "begun" is of a process that died over it
EXACT = 1e-3  # relative error of an output that is computed in FP32
TIMES_ROUNDING = 4.0  # as large as the error that rounding itself makes, in a lower precision
ONE, SEVERAL = 1, 2


def dynamic_is_right(graph: StageGraph) -> bool:
    """Compare the dynamic model with those of a few fixed shapes, or read what came of it before."""
    note = None if graph.cache is None else graph.cache / NOTE
    known = _read(note)
    if known is None:
        _write(note, BEGUN)
        known = AGREES if _agrees(graph) else DIFFERS
        _write(note, known)
    return known == AGREES


def _agrees(graph: StageGraph) -> bool:
    try:
        dynamic = graph.compile()
        for sizes in _sizes(graph.spec):
            feeds = _feeds(graph.spec, sizes)
            wanted, got = graph.compile(sizes).run(feeds, sizes), dynamic.run(feeds, sizes)
            allowed = EXACT if graph.exact else _rounding(graph, feeds, sizes, wanted)
            if _worst(got, wanted).relative > allowed:
                return False
    except SessionError:  # NPUs take fixed shapes alone
        return False
    return True


def _rounding(graph: StageGraph, feeds: Feeds, sizes: Mapping[str, int], low: Mapping[str, Tensor]) -> float:
    full = graph.compile(sizes, hint="f32").run(feeds, sizes)
    return EXACT + TIMES_ROUNDING * _worst(low, full).relative


def _worst(got: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> OutputError:
    found = OutputError()
    for name, want in wanted.items():
        found = found.or_worse(output_error(got[name], want))
    return found


def _sizes(spec: StageSpec) -> Iterator[dict[str, int]]:
    """One of everything, several of one thing at a time, several of everything: what may be broadcast, and what not."""
    symbols = spec.symbols()
    yield dict.fromkeys(symbols, ONE)
    if len(symbols) > 1:
        for several in symbols:
            yield {symbol: SEVERAL if symbol == several else ONE for symbol in symbols}
    yield dict.fromkeys(symbols, SEVERAL)


def _feeds(spec: StageSpec, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """Drawn numbers; zeros where they are whole: labels, places in a table."""
    rng = np.random.default_rng(0)
    return {
        t.name: rng.standard_normal(t.sized(sizes)).astype(t.dtype)
        if t.dtype.startswith("float")
        else np.zeros(t.sized(sizes), t.dtype)
        for t in spec.inputs
    }


def _read(note: Path | None) -> str | None:
    with suppress(OSError):
        return None if note is None else note.read_text().strip()
    return None


def _write(note: Path | None, word: str) -> None:
    if note is not None:
        with suppress(OSError):
            note.write_text(f"{word}\n")
