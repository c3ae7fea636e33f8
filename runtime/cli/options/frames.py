"""Which frames of a source are run, and how a camera is opened."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from masklet.runtime.cli.option_groups import OptionGroup, declared, given, parameter
from masklet.runtime.sources.known import source_options
from typing_extensions import Self

if TYPE_CHECKING:
    from masklet.runtime.sources.source import FeedOptions


@dataclass(frozen=True)
class FrameOptions(OptionGroup):
    """Which frames of a source are run, and how large."""

    panel = "Frames"
    start: Annotated[int, typer.Option(min=0, help="First frame to run.")] = 0
    end: Annotated[int | None, typer.Option(help="Frame to stop before.")] = None
    stride: Annotated[int, typer.Option(min=1, help="Run every n-th frame.")] = 1
    max_side: Annotated[
        int | None,
        typer.Option(min=16, help="Shrink frames to this longer side; prompts count in these pixels."),
    ] = None

    def cut(self) -> dict[str, Any]:
        """As `open_source` takes it."""
        return dict(self.__dict__)

    @property
    def first(self) -> int:
        """The frame of prompts that name no frame: the first one that is run."""
        return self.start


@dataclass(frozen=True)
class ReversibleFrameOptions(FrameOptions):
    """The same, forwards or backwards."""

    reverse: Annotated[bool, typer.Option("--reverse", help="Run from the last frame to the first (files only).")] = (
        False
    )

    @property
    def first(self) -> int:
        return 0 if self.reverse else self.start  # the last frame is known only once the file is open: use @FRAME


@dataclass(frozen=True)
class CameraOptions(OptionGroup):
    """Settings of cameras and raw frames. settings: the options of one kind of source, by name."""

    panel = "Cameras"
    size: str | None = None
    rate: float | None = None
    pixel_format: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parameters(cls) -> list[Any]:
        own: dict[str, Any] = {
            "size": Annotated[
                str | None, typer.Option(metavar="WxH", help="Size of a camera's or raw frames, in pixels.")
            ],
            "rate": Annotated[float | None, typer.Option(help="Rate of a camera or raw frames, in frames/s.")],
            "pixel_format": Annotated[
                str | None, typer.Option(help="Format of a camera's or raw frames: yuyv422, mjpeg, nv12, rgb24, ...")
            ],
        }
        for annotation in own.values():
            annotation.__metadata__[0].rich_help_panel = cls.panel
        return [parameter(n, a, None) for n, a in own.items()] + declared(source_options(), cls.panel)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        own = {name: values.pop(name) for name in ("size", "rate", "pixel_format")}
        return cls(**own, settings=given(values, source_options()))

    def feed(self) -> "FeedOptions":
        """As `open_source` takes it. Raises SourceError."""
        from masklet.runtime.sources.source import FeedOptions, parse_size

        return FeedOptions(
            None if self.size is None else parse_size(self.size), self.rate, self.pixel_format, self.settings
        )
