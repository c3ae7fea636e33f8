"""A reference page for each public name of `masklet.runtime`, which mkdocstrings fills from its docstrings."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from typing import Any

import masklet.runtime as runtime

FOLDER = "reference/python"
MODULES = re.compile(r"\b[a-z_]\w*\.(?=\w)")  # of a type in a signature
INTRODUCTION = """# Python API

Everything here is imported from `masklet.runtime`; nothing of it imports torch.

| name | is |
| --- | --- |
"""


def name_pages() -> dict[str, str]:
    """The pages of all public names, by their path on the site."""
    pages = {f"{FOLDER}/{name}.md": _page(name, value) for name, value in public_names()}
    rows = "".join(f"| [`{name}`]({name}.md) | {_summary(value)} |\n" for name, value in public_names())
    return pages | {
        f"{FOLDER}/index.md": INTRODUCTION + rows,
        f"{FOLDER}/.nav.yml": 'title: Python API\nnav:\n  - index.md\n  - "*"\n',
    }


def public_names() -> Iterator[tuple[str, Any]]:
    """Every public name with what it stands for, in alphabetical order."""
    for name in sorted(runtime.__all__, key=str.lower):
        yield name, getattr(runtime, name)


def _summary(value: Any) -> str:
    return (inspect.getdoc(value) or "").split("\n")[0]


def _page(name: str, value: Any) -> str:
    lines = [f"from masklet.runtime import {name}"]
    if isinstance(value, type) and not dataclasses.is_dataclass(value) and "__init__" in vars(value):
        lines += ["", _call(name, value)]
    use = "\n".join(["```python", *lines, "```"])
    return f"---\ntitle: {name}\n---\n# `{name}`\n\n{use}\n\n::: {value.__module__}.{name}\n"


def _call(name: str, value: type) -> str:
    """How an object of a class is made: its parameters with their types, without the modules of these."""
    parameters = inspect.signature(value).parameters.values()
    texts = [MODULES.sub("", str(one)) for one in parameters]
    return f"{name}({', '.join(texts)})" if len(texts) < 3 else f"{name}(\n    " + ",\n    ".join(texts) + ",\n)"
