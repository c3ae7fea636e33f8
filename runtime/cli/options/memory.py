"""What is remembered of each object, and what is not computed on every frame."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup

if TYPE_CHECKING:
    from masklet.runtime.tracking.memory_limits import MemoryLimits


MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="POLICY[:OPTION=VALUE,...]",
        help="Memory policy: which frames of each object are remembered; by default the model's.",
    ),
]


@dataclass(frozen=True)
class MemoryOptions(OptionGroup):
    """What is remembered of each object, and how much of it a frame attends to."""

    panel = "Memory"
    memory: MemoryOption = None
    memory_detail: Annotated[
        str | None,
        typer.Option(
            metavar="DETAIL",
            help="How much of each memory is kept: whole, pooled:2, pooled:4, foveated or foveated:TOKENS. Needs a "
            "variant exported with --foveated.",
        ),
    ] = None
    memory_frames: Annotated[
        int | None,
        typer.Option(
            min=1, help="Attend to at most N recent frames, besides the prompted ones; by default the model's number."
        ),
    ] = None
    pointers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Attend to object pointers of at most N recent frames; by default the model's number."
        ),
    ] = None

    def limits(self) -> "MemoryLimits":
        """How many memories are attended to. Raises PromptError."""
        from masklet.runtime.tracking.memory_detail import MemoryDetail
        from masklet.runtime.tracking.memory_limits import MemoryLimits

        detail = None if self.memory_detail is None else MemoryDetail.parse(self.memory_detail)
        return MemoryLimits(self.memory_frames, self.pointers, detail)


@dataclass(frozen=True)
class UpdateOptions(OptionGroup):
    """What is not computed on every frame."""

    panel = "Speed"
    update_interval: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Segment objects that move as expected only on every n-th frame, and shift their masks in between; "
            'such an object has "stale" in the JSON lines. Default: 1, or as the bundle was tuned.',
        ),
    ] = None
    untuned: Annotated[
        bool, typer.Option("--untuned", help="Ignore the settings that `masklet tune` wrote into the bundle.")
    ] = False


@dataclass(frozen=True)
class SpeedOptions(UpdateOptions):
    """The same, and a rate that is kept."""

    target_fps: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="For a tuned bundle: keep this many frames per second as objects join, with fewer memories and "
            "rarer updates; every change is logged.",
        ),
    ] = None
