"""The formats that there are."""

from masklet.runtime.convert import formats
from masklet.runtime.convert.format import Format
from masklet.runtime.discovery import find_in
from masklet.runtime.errors import MasksError


def known_formats() -> dict[str, Format]:
    """Every file in runtime/convert/formats/ that has a `FORMAT`, by its name."""
    found: list[Format] = find_in(formats, "FORMAT")
    return {one.name: one for one in sorted(found, key=lambda one: one.name)}


def format_called(option: str, name: str) -> Format:
    """A format. option: where it was named. Raises MasksError naming those that there are."""
    known = known_formats()
    if name not in known:
        raise MasksError(f"{option} {name}: no such format; there are {', '.join(known)}")
    return known[name]
