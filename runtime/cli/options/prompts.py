"""Prompts of objects, and phrases, as they are typed."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from masklet.runtime.cli.option_groups import OptionGroup

if TYPE_CHECKING:
    from masklet.runtime.concepts.options import ConceptOptions
    from masklet.runtime.prompts.prompts import Schedule
    from masklet.runtime.startup.tracking_request import TrackingRequest


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
