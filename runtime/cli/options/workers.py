"""The workers of an archive, and how long videos are shared out among them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup

if TYPE_CHECKING:
    from masklet.runtime.archive.cluster import Resources
    from masklet.runtime.archive.segments import Splitting


@dataclass(frozen=True)
class WorkerOptions(OptionGroup):
    """Where workers run, and what each gets."""

    panel = "Workers"
    ray: Annotated[
        str | None,
        typer.Option("--ray", metavar="HOST:PORT|auto", help="A Ray cluster; without it Ray is started here."),
    ] = None
    workers: Annotated[int, typer.Option(min=1, help="Workers, each of which runs one video at a time.")] = 1
    cpus_per_worker: Annotated[
        int,
        typer.Option(min=1, help="Cores of a worker; also the threads of its stages without --threads."),
    ] = 1
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="GPUs of a worker; 0.25 puts four on one.")] = 0.0
    retries: Annotated[int, typer.Option(min=0, help="How often a video is tried again, on another worker.")] = 2

    def wanted(self) -> "Resources":
        """What is asked of Ray."""
        from masklet.runtime.archive.cluster import Resources

        return Resources(self.workers, self.cpus_per_worker, self.gpus_per_worker, self.ray)


@dataclass(frozen=True)
class SegmentOptions(OptionGroup):
    """Whether long videos are split."""

    panel = "Segments"
    segment: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES",
            help="Split longer videos into segments that workers run side by side, for objects that --text finds.",
        ),
    ] = None
    overlap: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            help="How long before its own frames a segment begins; its ids are matched with the segment before there.",
        ),
    ] = 5.0

    def splitting(self) -> "Splitting | None":
        """How videos are split; None for not at all. Raises PromptError."""
        from masklet.runtime.archive.segments import Splitting

        return None if self.segment is None else Splitting(self.segment, self.overlap)
