"""Finds the kinds of output."""

from masklet.runtime.discovery import find_in
from masklet.runtime.option import Option
from masklet.runtime.sinks import kinds
from masklet.runtime.sinks.kind import SinkKind
from masklet.runtime.sinks.rotation import KEEP_PARTS, ROTATE


def sink_kinds() -> list[SinkKind]:
    """The `SINK` of every file in runtime/sinks/kinds/, in the order in which a frame is written to them."""
    found: list[SinkKind] = find_in(kinds, "SINK")
    return sorted(found, key=lambda kind: (kind.order, kind.name))


def sink_options() -> list[Option]:
    """The further options that kinds of sinks declare, and those of rotation, which several kinds share."""
    return [*(option for kind in sink_kinds() for option in kind.options), ROTATE, KEEP_PARTS]
