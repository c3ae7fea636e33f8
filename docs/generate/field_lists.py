"""An extension of griffe: the fields that our docstrings list become tables.

A docstring lists parameters and attributes as `name: text`, a line each, with aligned continuation lines. Markdown
would join those lines to one paragraph.
"""

import re
from typing import Any

import griffe

FIELD = re.compile(r"(?P<name>[a-z_][\w, ]*):\s+(?P<text>\S.*)")


class FieldTables(griffe.Extension):
    """Writes the listed fields of every docstring as items of a list."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the object's docstring."""
        if obj.docstring is not None:
            obj.docstring.value = with_lists(obj.docstring.value, _names(obj))


def with_lists(text: str, names: set[str]) -> str:
    """The docstring with each line `name: text` of one of the names as a list item."""
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        match = FIELD.fullmatch(line)
        if match and {n.strip() for n in match["name"].split(",")} <= names:
            if not inside and lines and lines[-1].strip():
                lines.append("")
            lines.append(f"- `{match['name']}`: {match['text']}")
            inside = True
        elif inside and line.startswith(" "):
            lines.append(f"  {line.strip()}")
        else:
            if inside and line.strip():
                lines.append("")
            inside = False
            lines.append(line)
    return "\n".join(lines)


def _names(obj: griffe.Object) -> set[str]:
    names = {p.name for p in obj.parameters} if isinstance(obj, (griffe.Function, griffe.Class)) else set()
    return names | {name for name, member in obj.members.items() if isinstance(member, griffe.Attribute)}
