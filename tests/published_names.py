"""Names and shapes of every tensor in a published file, from the lists beside the tests of their layouts."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "export" / "checkpoints"
_BRACES = re.compile(r"\{(.*?)\}")


def published_names(list_name: str, size: str = "") -> dict[str, tuple[int, ...]]:
    """The shapes by name of a list, such as `sam3`. size: what of its parts below `[size]` is there beside the head."""
    found, part = dict[str, tuple[int, ...]](), ""
    for line in (FOLDER / f"{list_name}_names.txt").read_text().splitlines():
        if line.startswith("["):
            part = line.strip("[]")
        elif not line.startswith("#") and part in ("", size):
            name, *shape = line.split(" ")
            found |= dict.fromkeys(_names(name), tuple(map(int, shape)))
    return found


def _names(pattern: str) -> Iterator[str]:
    """What a pattern stands for: `{0-3}` for the numbers 0 to 3, `{a,b}` for a and b."""
    template = _BRACES.sub("{}", pattern)
    for filled in itertools.product(*(_choices(inner) for inner in _BRACES.findall(pattern))):
        yield template.format(*filled)


def _choices(inner: str) -> list[str]:
    first, dash, last = inner.partition("-")
    return [str(number) for number in range(int(first), int(last) + 1)] if dash else inner.split(",")
