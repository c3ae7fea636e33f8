"""Where a frame's time went: its spans, one behind the other, without a gap.

A frame begins when the source is asked for it. Between capture and masks lie the calls of the stages; what the host
does there is named after what it prepares: before the image encoder `preprocess`, after the last stage `postprocess`,
elsewhere `bank` (prompts, memories gathered and kept).
"""

from collections.abc import Iterable
from typing import NamedTuple

from masklet.profiles.recording.timeline import FrameTimes, Sizes

CAPTURE, PREPROCESS, BANK, POSTPROCESS, SINK = "capture", "preprocess", "bank", "postprocess", "sink"
PHASES = (CAPTURE, PREPROCESS, BANK, POSTPROCESS, SINK)  # what is no stage
HOST = (PREPROCESS, BANK, POSTPROCESS)  # the runtime's own work outside of the sessions
ENCODER = "image_encoder"


class Span(NamedTuple):
    """A phase or a stage's call, in the clock's nanoseconds; sizes of the stage's symbols, None for a phase."""

    name: str
    began_ns: int
    ended_ns: int
    sizes: Sizes | None = None

    @property
    def ns(self) -> int:
        return self.ended_ns - self.began_ns


def spans(frame: FrameTimes) -> list[Span]:
    """A frame's spans in order of time; their lengths add up to the frame's own."""
    found = [Span(CAPTURE, frame.asked_ns, frame.captured_ns)]
    now_ns = frame.captured_ns
    for call in frame.calls:
        found.append(Span(PREPROCESS if call.stage == ENCODER else BANK, now_ns, call.began_ns))
        found.append(Span(call.stage, call.began_ns, call.ended_ns, call.sizes))
        now_ns = call.ended_ns
    found.append(Span(POSTPROCESS, now_ns, frame.masks_ns))
    found.append(Span(SINK, frame.masks_ns, frame.done_ns))
    return found


def totals(frame: FrameTimes) -> dict[str, int]:
    """Nanoseconds of a frame by phase and stage."""
    by_name: dict[str, int] = {}
    for span in spans(frame):
        by_name[span.name] = by_name.get(span.name, 0) + span.ns
    return by_name


def host_ns(frame: FrameTimes) -> int:
    """Nanoseconds of a frame between capture and masks that no stage took."""
    by_name = totals(frame)
    return sum(by_name.get(name, 0) for name in HOST)


def order(stages: Iterable[str]) -> list[str]:
    """Phases and stages as a tracked frame goes through them. stages: names, in the order of the model."""
    stages = list(stages)
    encoded = stages.index(ENCODER) + 1 if ENCODER in stages else 0
    return [CAPTURE, PREPROCESS, *stages[:encoded], BANK, *stages[encoded:], POSTPROCESS, SINK]
