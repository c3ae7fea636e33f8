"""Options of streams that run for weeks: queues, restarts, metrics and logs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from masklet.runtime.cli.option_groups import OptionGroup

if TYPE_CHECKING:
    from masklet.runtime.streams.frame_queue import Policy
    from masklet.runtime.streams.supervise import Patience


@dataclass(frozen=True)
class StreamOptions(OptionGroup):
    """How streams are run and monitored."""

    panel = "Streams"
    every_frame: Annotated[
        bool | None,
        typer.Option(
            "--every-frame/--newest",
            help="Run every frame, or drop frames that arrive too fast; by default files run every frame, cameras the "
            "newest.",
        ),
    ] = None
    silence: Annotated[float, typer.Option(min=0.1, help="Warn after N seconds without a frame.")] = 5.0
    give_up: Annotated[
        float | None, typer.Option(min=0.1, help="End after N seconds without a frame; never by default.")
    ] = None
    state: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Save the state to a file, and resume from it after a restart."),
    ] = None
    state_every: Annotated[float, typer.Option(min=0.0, help="Seconds between two saves of the state.")] = 10.0
    metrics: Annotated[
        str | None, typer.Option(metavar="[HOST:]PORT", help="Serve Prometheus metrics at this port.")
    ] = None
    view: Annotated[
        str | None,
        typer.Option(metavar="[HOST:]PORT", help="Serve a page that shows the streams and takes clicks."),
    ] = None
    log_json: Annotated[bool, typer.Option("--log-json", help="Log as JSON, one line per event.")] = False

    def policy(self) -> "Policy | None":
        """The policy of --every-frame or --newest; None if neither is given."""
        from masklet.runtime.streams.frame_queue import Policy

        return None if self.every_frame is None else Policy.EVERY if self.every_frame else Policy.NEWEST

    def patience(self) -> "Patience":
        """How long to wait for a frame."""
        from masklet.runtime.streams.supervise import Patience

        return Patience(self.silence, self.give_up)
