"""Options that several commands share, each declared once, in groups that arrive as one typed object."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from masklet.runtime.backends.known import backend_kinds, backend_options
from masklet.runtime.cli.option_groups import OptionGroup, declared, parameter
from masklet.runtime.sinks.known import sink_kinds, sink_options
from masklet.runtime.sources.known import source_options
from typing_extensions import Self

if TYPE_CHECKING:
    from masklet.runtime.bundle.bundle import BundleChoice
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.prompts.prompts import Schedule
    from masklet.runtime.sinks.outputs import Outputs
    from masklet.runtime.sources.source import FeedOptions
    from masklet.runtime.startup.backend_choice import BackendChoice
    from masklet.runtime.startup.tracking_request import TrackingRequest
    from masklet.runtime.tracking.memory_limits import MemoryLimits

DEFAULT_BACKEND = "onnxruntime"
MemoryOption = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="POLICY[:OPTION=VALUE,...]",
        help="Memory policy: which frames of each object are remembered; by default the model's.",
    ),
]
NoHashes = Annotated[
    bool,
    typer.Option("--no-hashes", help="Do not check the hashes of the bundle's files; the manifest is still checked."),
]
BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder that `masklet export` wrote.")]


@dataclass(frozen=True)
class BundleOptions(OptionGroup):
    """Which variant of the model is loaded, and how thoroughly the bundle is checked."""

    panel = "Bundle"
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Variant of the model, such as 512, 1024x576 or 1024-foveated; `masklet inspect` lists them, and the "
            "first one runs by default.",
        ),
    ] = None
    no_hashes: NoHashes = False

    def of(self, root: Path) -> "BundleChoice":
        """The bundle in a folder, with these options."""
        from masklet.runtime.bundle.bundle import BundleChoice

        return BundleChoice(root, self.variant, not self.no_hashes)


def _words(flag: str, metavar: str, text: str) -> Any:
    return typer.Option(flag, metavar=metavar, help=f"{text}; may be given several times.")


@dataclass(frozen=True)
class PromptOptions(OptionGroup):
    """Prompts of objects, as they are typed."""

    panel = "Prompts"
    points: Annotated[list[str], _words("--point", "[ID][@FRAME]:X,Y", "A click on the object")] = field(
        default_factory=list
    )
    negatives: Annotated[list[str], _words("--negative", "[ID][@FRAME]:X,Y", "A click beside the object")] = field(
        default_factory=list
    )
    boxes: Annotated[list[str], _words("--box", "[ID][@FRAME]:X0,Y0,X1,Y1", "A box around the object")] = field(
        default_factory=list
    )
    masks_in: Annotated[list[str], _words("--mask", "[ID][@FRAME]:FILE.png", "The object's mask")] = field(
        default_factory=list
    )
    prompt_files: Annotated[
        list[str],
        _words("--prompts", "FILE.json", "Prompts of a clip, as `masklet annotate` writes them"),
    ] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any((self.points, self.negatives, self.boxes, self.masks_in, self.prompt_files))

    def schedule(self, first: int = 0) -> "Schedule":
        """The prompts by frame and object. first: the frame of prompts that name none.

        Raises PromptError for a prompt that cannot be read.
        """
        return self.schedule_of(1, 1, first)

    def schedule_of(self, stream: int, streams: int, first: int) -> "Schedule":
        """The prompts of one stream: those that name it as STREAM/..., and those that name no stream.

        stream: from 1 to `streams`; {stream} in the name of a prompts file stands for it.
        """
        from masklet.runtime.cli.per_stream import PLACE, prompts_of
        from masklet.runtime.prompts.syntax import parse_prompts

        forms = {"points": self.points, "negatives": self.negatives, "boxes": self.boxes, "masks": self.masks_in}
        mine = {form: prompts_of(words, stream, streams) for form, words in forms.items()}
        files = [file.replace(PLACE, str(stream)) for file in self.prompt_files]
        return parse_prompts(**mine, files=files, first=first)


@dataclass(frozen=True)
class PhraseOptions(OptionGroup):
    """What to find every instance of, as it is typed (SAM 3)."""

    panel = "Phrases (SAM 3)"
    texts: Annotated[list[str], _words("--text", "PHRASE", "Find every instance of a phrase, such as 'yellow bus'")] = (
        field(default_factory=list)
    )
    exemplars: Annotated[
        list[str],
        _words(
            "--exemplar",
            "[+|-]X0,Y0,X1,Y1",
            "A box around an example of what to find (+) or to leave out (-), on the first frame of a video",
        ),
    ] = field(default_factory=list)
    min_score: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Lowest score of an instance that --text or --exemplar finds.")
    ] = 0.5

    def concepts(self) -> "Any":
        """The concepts, a tuple of `Concept`. Raises PromptError."""
        from masklet.runtime.concepts.concept import parse_concepts

        return parse_concepts(self.texts, self.exemplars)


@dataclass(frozen=True)
class FollowedPhraseOptions(PhraseOptions):
    """The same for videos, where instances are followed."""

    hotstart: Annotated[
        int,
        typer.Option(
            min=0,
            help="Delay results by N - 1 frames, so that false positives are left out from their first frame on; 0 "
            "gives results at once.",
        ),
    ] = 15

    detection_interval: Annotated[
        int, typer.Option(min=1, help="Run the detector on every n-th frame; instances are tracked in between.")
    ] = 1

    def found_with(self) -> "ConceptOptions":
        """How instances are found and followed."""
        from masklet.runtime.concepts.options import ConceptOptions

        return replace(ConceptOptions.of(self.min_score, self.hotstart), detection_interval=self.detection_interval)

    def wanted(self, schedule: "Schedule") -> "TrackingRequest":
        """What to track: these phrases, and prompted objects."""
        from masklet.runtime.startup.tracking_request import TrackingRequest

        return TrackingRequest(schedule, self.concepts(), self.found_with())


@dataclass(frozen=True)
class StreamedPhraseOptions(FollowedPhraseOptions):
    """The same for streams without an end."""

    max_objects: Annotated[
        int, typer.Option(min=1, help="Follow at most this many instances of a phrase; later ones are ignored.")
    ] = 10_000
    forget_after: Annotated[
        int,
        typer.Option(
            min=0,
            help="Drop an instance that was not detected for N frames in a row; set it for endless streams. 0 never "
            "drops an instance.",
        ),
    ] = 0

    def found_with(self) -> "ConceptOptions":
        return replace(super().found_with(), max_objects=self.max_objects, forget_after=self.forget_after)


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


@dataclass(frozen=True)
class OutputOptions(OptionGroup):
    """Where results go: an option for each kind of sink."""

    panel = "Outputs"
    targets: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parameters(cls) -> list[Any]:
        targets = [kind.option for kind in sink_kinds()]
        return declared([*targets, *sink_options()], cls.panel)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        settings = given({option.name: values.pop(option.name) for option in sink_options()}, sink_options())
        return cls({name: target for name, target in values.items() if target is not None}, settings)

    def outputs(self) -> "Outputs":
        """The sinks to open."""
        from masklet.runtime.sinks.outputs import Outputs

        return Outputs(self.targets, settings=self.settings)


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
class SpeedOptions(OptionGroup):
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
    target_fps: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="For a tuned bundle: keep this many frames per second as objects join, with fewer memories and "
            "rarer updates; every change is logged.",
        ),
    ] = None
    untuned: Annotated[
        bool, typer.Option("--untuned", help="Ignore the settings that `masklet tune` wrote into the bundle.")
    ] = False


@dataclass(frozen=True)
class BackendOptions(OptionGroup):
    """What runs the stages. settings: the options of one backend, by name."""

    panel = "Backend"
    backend: str = DEFAULT_BACKEND
    threads: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parameters(cls) -> list[Any]:
        names = list(backend_kinds())
        own: dict[str, Any] = {
            "backend": Annotated[
                str,
                typer.Option(
                    metavar="|".join(names),
                    help="What runs the stages; TensorRT needs the engines that `masklet build` makes.",
                    rich_help_panel=cls.panel,
                ),
            ],
            "threads": Annotated[
                int | None,
                typer.Option(min=1, help="Threads of each stage; all cores by default.", rich_help_panel=cls.panel),
            ],
        }
        return [
            parameter("backend", own["backend"], DEFAULT_BACKEND),
            *declared(backend_options(), cls.panel),
            parameter("threads", own["threads"], None),
        ]

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        return cls(values.pop("backend"), values.pop("threads"), given(values, backend_options()))

    def choice(self) -> "BackendChoice":
        """The backend. Raises SessionError if it does not have a given option."""
        from masklet.runtime.startup.backend_choice import BackendChoice

        return BackendChoice(self.backend, self.threads, self.settings)


def given(values: dict[str, Any], options: Any) -> dict[str, Any]:
    """The values that were given: those that differ from their option's default."""
    defaults = {option.name: option.default for option in options}
    return {name: value for name, value in values.items() if value != defaults[name]}
