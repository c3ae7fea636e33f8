"""A reference page for each JSON file that masklet writes, from the types that read and write it."""

import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from field_lists import with_lists
from masklet.calibration.report.report import Report as CalibrationReport
from masklet.profiles.report.report import Report as ProfileReport
from masklet.runtime.bundle.manifest import Manifest

FOLDER = "reference/formats"


@dataclass(frozen=True)
class Format:
    """A file: its name, what the page says first, and the type of its content."""

    name: str
    introduction: str
    content: type[msgspec.Struct]


FORMATS = (
    Format(
        "manifest.json",
        "The declaration of a [bundle](../../glossary.md#bundle): the model, its stages, every file with its hash. "
        "`masklet export`, `calibrate` and `build` write it; `manifest.json.sha256` beside it holds its SHA-256. "
        "`masklet inspect BUNDLE --json` prints it.",
        Manifest,
    ),
    Format(
        "profile.json",
        "The report of `masklet profile --json`; `masklet profile --compare A.json B.json` reads it.",
        ProfileReport,
    ),
    Format(
        "calibration.report.json",
        "The report that `masklet calibrate -o BUNDLE` writes as `BUNDLE.report.json`, beside the HTML page.",
        CalibrationReport,
    ),
)


def format_pages() -> dict[str, str]:
    """The pages of all formats, by their path on the site."""
    pages = {f"{FOLDER}/{one.name.replace('.', '-')}.md": _page(one) for one in FORMATS}
    return pages | {f"{FOLDER}/.nav.yml": 'title: JSON files\nnav:\n  - "*"\n'}


def structs(content: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    """The type and every type in its fields, each once."""
    seen: dict[type[msgspec.Struct], None] = {}

    def visit(kind: Any) -> None:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
            seen[kind] = None
            for field in msgspec.structs.fields(kind):
                visit(field.type)
        for part in typing.get_args(kind):
            visit(part)

    visit(content)
    yield from seen


def _page(one: Format) -> str:
    parts = [f"---\ntitle: {one.name}\n---\n# {one.name}\n\n{one.introduction}\n"]
    for kind in structs(one.content):
        fields = msgspec.structs.fields(kind)
        text = with_lists(inspect.getdoc(kind) or "", {field.encode_name for field in fields})
        rows = "\n".join(f"| `{f.encode_name}` | {_type(f.type)} | {_default(f)} |" for f in fields)
        parts.append(f"## {kind.__name__}\n\n{text}\n\n| field | type | default |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    plain = msgspec.to_builtins(value)
    return f"`{plain!r}`" if not isinstance(value, msgspec.Struct) else f"[{type(value).__name__}](#{_anchor(value)})"


def _anchor(value: object) -> str:
    return type(value).__name__.lower()


def _type(kind: Any) -> str:
    """A type as JSON has it, with links to the types of this page."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is type(None):
        return "null"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    if origin is typing.Literal:
        return " or ".join(f"`{value!r}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments)
    if origin is dict:
        return f"object of {_type(arguments[1])}"
    if origin in (list, tuple):
        parts = [part for part in arguments if part is not Ellipsis]
        return f"[{', '.join(_type(part) for part in parts)}]" if len(parts) > 1 else f"list of {_type(parts[0])}"
    if isinstance(kind, type) and issubclass(kind, str):
        return "string"
    return {int: "integer", float: "number", bool: "true or false"}.get(kind, str(kind))
