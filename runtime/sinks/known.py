"""The outputs that can be asked for."""

from masklet.runtime.discovery import find_in
from masklet.runtime.option import Option
from masklet.runtime.sinks import kinds
from masklet.runtime.sinks.kind import SinkKind


def sink_kinds() -> list[SinkKind]:
    """Every file in runtime/sinks/kinds/ that has a `SINK`, in the order in which a frame is written to them."""
    found: list[SinkKind] = find_in(kinds, "SINK")
    return sorted(found, key=lambda kind: (kind.order, kind.name))


def sink_options() -> list[Option]:
    """The further options that kinds of sinks declare."""
    return [option for kind in sink_kinds() for option in kind.options]
