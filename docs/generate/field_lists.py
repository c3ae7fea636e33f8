"""An extension of griffe: the fields that our docstrings list become lists, or the text of each attribute.

A docstring lists parameters and attributes as `name: text`, one line each, with indented continuation lines. Markdown
would join those lines to one paragraph.
"""

import re
from typing import Any

import griffe

FIELD = re.compile(r"(?P<name>[a-z_][\w, ]*):\s+(?P<text>\S.*)")


class FieldLists(griffe.Extension):
    """Writes the fields that a docstring lists as list items, or moves them to the attributes of a class."""

    def on_function(self, *, func: griffe.Function, **kwargs: Any) -> None:
        """Make a list of the parameters in a function's docstring."""
        if func.docstring is not None:
            func.docstring.value = with_lists(func.docstring.value, {p.name for p in func.parameters})

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Move the texts of attributes to them, and make a list of the other parameters."""
        if cls.docstring is None:
            return
        attributes = {name: member for name, member in cls.members.items() if isinstance(member, griffe.Attribute)}
        rest, texts = moved_out(cls.docstring.value, {n for n, a in attributes.items() if a.docstring is None})
        for name, text in texts.items():
            attributes[name].docstring = griffe.Docstring(text, parent=attributes[name])
        init = cls.members.get("__init__")
        names = {p.name for p in init.parameters} if isinstance(init, griffe.Function) else set()
        cls.docstring.value = with_lists(rest, names | set(attributes))


def moved_out(text: str, names: set[str]) -> tuple[str, dict[str, str]]:
    """The docstring without the lines `name: text` of these names, and their texts. Lines of several names stay."""
    lines: list[str] = []
    texts: dict[str, str] = {}
    current = None
    for line in text.splitlines():
        match = FIELD.fullmatch(line)
        if match and match["name"] in names:
            current = match["name"]
            texts[current] = match["text"]
        elif current is not None and line.startswith(" "):
            texts[current] += f" {line.strip()}"
        else:
            current = None
            lines.append(line)
    return "\n".join(lines), texts


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
