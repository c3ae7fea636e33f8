"""What a kind of output declares of itself, so that a command line can offer it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.option import Option
from masklet.runtime.sinks.output_file import check_parent

if TYPE_CHECKING:
    from masklet.runtime.sinks.sink import Sink

Target = Path | str  # what the option was given: a file, a folder, or an address


class OnResume(Enum):
    """What becomes of an output that is there when a stream goes on after a restart."""

    APPEND = "the file is continued"
    NEXT_PART = "the file stays, and a new one begins beside it"
    SAME = "the folder or address is used again"


def check_path(target: Target) -> None:
    """Raise SinkError where the folder that is to hold an output does not exist."""
    check_parent(Path(target))


@dataclass(frozen=True, slots=True)
class Opening:
    """How a sink is opened.

    fps:  frames per second of the source as delivered.
    keep: bytes of a file that is there to append after; None to replace it.
    settings: values of the options that kinds of sinks declare, by name; what was not given is left out.
    """

    fps: float
    keep: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SinkKind:
    """An output of `masklet run`.

    option:    what the command line offers; its value is the target, and its name is the output's name.
    open:      opens the sink on a target. Raises SinkError, one line.
    on_resume: what becomes of an output that is there when a stream goes on.
    check:     raises SinkError for a target that cannot be written, before any work is done.
    order:     of the sinks; a frame is written to the lowest first.
    options:   what else can be asked of it.
    """

    option: Option
    open: "Callable[[Target, Opening], Sink]"
    on_resume: OnResume
    check: Callable[[Target], None] = check_path
    order: int = 100
    options: tuple[Option, ...] = ()

    @property
    def name(self) -> str:
        return self.option.name
