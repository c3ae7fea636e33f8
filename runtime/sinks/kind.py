"""The declaration of a kind of output, from which the command line offers it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from masklet.runtime.option import Option
from masklet.runtime.sinks.output_file import check_parent

if TYPE_CHECKING:
    from masklet.runtime.prompts.prompts import Schedule
    from masklet.runtime.sinks.sink import Sink

StagesSince = Callable[[int], list[tuple[int, dict[str, float]]]]
"""The latencies of stages in the frames after the one of a number: number and milliseconds by stage of each."""

Target = Path | str  # value of the option: a file, a folder, or an address


class OnResume(Enum):
    """What happens to an existing output when a stream resumes after a restart."""

    APPEND = "the file is continued"
    NEXT_PART = "the file stays, and a new one begins beside it"
    SAME = "the folder or address is used again"


def check_path(target: Target) -> None:
    """Raise SinkError if the folder of an output does not exist."""
    check_parent(Path(target))


@dataclass(frozen=True, slots=True)
class Opening:
    """How a sink is opened.

    fps:  frames per second of the source as delivered.
    keep: bytes of an existing file after which to append; None to replace it.
    settings: values of the options that kinds of sinks declare, by name; what was not given is left out.
    prompts: the prompts of the run by frame and object, for sinks that show them.
    stages: latencies of stages, for sinks of a kind that asks for them.
    began_ns: time of the day at time 0 of the source, in nanoseconds since 1970; None if unknown.
    """

    fps: float
    keep: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    prompts: "Schedule" = field(default_factory=dict)
    stages: StagesSince = lambda number: []
    began_ns: int | None = None


@dataclass(frozen=True, slots=True)
class SinkKind:
    """An output of `masklet run`.

    option:    the option of the command line; its value is the target, its name is the name of the output.
    open:      opens the sink for a target. Raises SinkError, one line.
    on_resume: what happens to an existing output when a stream resumes.
    check:     raises SinkError, before any work, for a target that cannot be written.
    order:     order of the sinks; a frame is written to the lowest first.
    options:   what else can be asked of it.
    times_stages: whether it logs the latencies of stages, which are timed then.
    rotates: whether --rotate begins a new file of it.
    """

    option: Option
    open: "Callable[[Target, Opening], Sink]"
    on_resume: OnResume
    check: Callable[[Target], None] = check_path
    order: int = 100
    options: tuple[Option, ...] = ()
    times_stages: bool = False
    rotates: bool = False

    @property
    def name(self) -> str:
        return self.option.name
