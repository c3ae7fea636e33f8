"""Finds the kinds of source."""

from masklet.runtime.discovery import find_in
from masklet.runtime.option import Option
from masklet.runtime.sources import kinds
from masklet.runtime.sources.kind import SourceKind


def source_kinds() -> list[SourceKind]:
    """The `SOURCE` of every file in runtime/sources/kinds/, in the order in which they are tried."""
    found: list[SourceKind] = find_in(kinds, "SOURCE")
    return sorted(found, key=lambda kind: (kind.order, kind.form))


def source_options() -> list[Option]:
    """The options that kinds of source declare, without duplicates."""
    return list({option.name: option for kind in source_kinds() for option in kind.options}.values())
