"""An option that a backend, a source or a sink declares in its own file, and that the command line then offers."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Option:
    """One option: `--name` on the command line, with dashes for underscores.

    help:    one line for `--help`.
    kind:    type of its value: str, int, float, bool or Path.
    default: value if the option is not given; giving this value counts as not given.
    choices: allowed values; empty for any.
    metavar: placeholder of the value in `--help`.
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
        """The option as typed on the command line."""
        return "--" + self.name.replace("_", "-")
