"""What goes over the wire: requests are checked by these types, and the API's document lists them."""

from typing import Annotated, Any

import msgspec
from masklet.runtime.prompts.prompt_records import PromptRecord, PromptShape

MAX_NAME = 80
MAX_STEP = 1000

Name = Annotated[str, msgspec.Meta(max_length=MAX_NAME, description="What a user calls the object; empty for no name.")]


class AddObject(PromptShape, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A new object by clicks, a box or a mask."""

    name: Name = ""


class CorrectObject(PromptShape, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Clicks, a box or a mask that correct an object as it is tracked onto the next frame."""


class RenameObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new name of an object."""

    name: Name


class ExemplarBox(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A box around an example of what to find, or of what not. box: left, top, right, bottom in pixels."""

    box: tuple[float, float, float, float]
    positive: bool = True


class SetPhrases(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to look for from the next frame on; nothing to track prompted objects alone. Ids begin anew."""

    phrases: Annotated[list[Annotated[str, msgspec.Meta(max_length=200)]], msgspec.Meta(max_length=16)] = []
    exemplars: Annotated[list[ExemplarBox], msgspec.Meta(max_length=64)] = []


class SetPlayback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a file. paused: pause or go on; step: frames to let pass while paused; real_time: at the file's own rate."""

    paused: bool | None = None
    step: Annotated[int, msgspec.Meta(ge=1, le=MAX_STEP)] | None = None
    real_time: bool | None = None


class Session(msgspec.Struct, frozen=True):
    """What the page is for: `live` for running streams, `annotation` for a clip."""

    mode: str


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request took effect. frame: the first frame that shows it; object: the object that it was about."""

    frame: int
    object: int | None = None


class Failure(msgspec.Struct, frozen=True):
    """A request that could not be done, and changed nothing."""

    error: str


class ViewedObject(msgspec.Struct, frozen=True):
    """An object of a stream.

    colour: as CSS writes it. visible: whether it is on the newest frame; unseen: frames since it was. phrase: what it
    is an instance of.
    """

    id: int
    name: str
    colour: str
    score: float
    visible: bool
    unseen: int
    phrase: str | None


class ViewedStream(msgspec.Struct, frozen=True):
    """A stream as it is now.

    size: width and height in pixels. frames: of a file, None where nobody knows. frame: index of the newest frame.
    phrases: what is looked for, None where the model cannot. paused, real_time: None where it cannot be paused.
    prompts: those that were given while it ran. latency_ms: from a frame's arrival to its masks, the newest.
    """

    number: int
    name: str
    size: tuple[int, int]
    frames: int | None
    frame: int | None
    ended: bool
    error: str | None
    silent_s: float
    objects: list[ViewedObject]
    phrases: list[str] | None
    paused: bool | None
    real_time: bool | None
    can_undo: bool
    prompts: list[PromptRecord]
    frames_per_s: float
    latency_ms: float | None
    captured: int
    processed: int
    dropped: int
    corrupt: int
    reconnects: int


class Metrics(msgspec.Struct, frozen=True):
    """Of the whole process. stages: milliseconds of each stage in the last frames, with the frame's number."""

    backend: str
    model: str
    memory_mb: float
    viewers: int
    stages: list[tuple[int, dict[str, float]]]


class State(msgspec.Struct, frozen=True, tag="state", tag_field="type"):
    """What a viewer is sent a few times a second, beside frames."""

    streams: list[ViewedStream]
    metrics: Metrics


class Show(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="show", tag_field="type"):
    """Which streams a viewer wants to see. streams: number to the longer side of its picture, 0 for results alone."""

    streams: Annotated[dict[int, Annotated[int, msgspec.Meta(ge=0, le=4096)]], msgspec.Meta(max_length=64)]


class Next(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="next", tag_field="type"):
    """A viewer has room for one more frame."""


FromViewer = Show | Next


class Problem(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """What was wrong with a message."""

    error: str


class Bye(msgspec.Struct, frozen=True, tag="ended", tag_field="type"):
    """The run is over, and so is the connection."""


Json = dict[str, Any]
