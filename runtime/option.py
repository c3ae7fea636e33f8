"""An option that a backend, a source or a sink declares in its own file, so that the command line can offer it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--name` on the command line, with dashes for underscores.

    help:    one line for `--help`.
    kind:    the type of its value: str, int, float, bool or Path.
    default: the value where it is not given; a value that equals it counts as not given.
    choices: the values that are allowed; empty for any.
    metavar: what `--help` shows for the value.
    short:   a second, short name, such as "-o".
    """

    name: str
    help: str
    kind: type = str
    default: Any = None
    choices: tuple[str, ...] = ()
    metavar: str | None = None
    short: str | None = None

    @property
    def flag(self) -> str:
        """The option as it is typed."""
        return "--" + self.name.replace("_", "-")
