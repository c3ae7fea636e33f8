"""Divides the time of a frame into consecutive spans without gaps.

A frame begins when it is requested from the source. Stages are called between capture and masks; the host's work there
is `preprocess` before the image encoder, `postprocess` after the last stage, and `bank` elsewhere (prompts, gathering
and storing of memories).
"""

from collections.abc import Iterable
from typing import NamedTuple

from masklet.profiles.recording.timeline import FrameTimes, Sizes

CAPTURE, PREPROCESS, BANK, POSTPROCESS, SINK = "capture", "preprocess", "bank", "postprocess", "sink"
PHASES = (CAPTURE, PREPROCESS, BANK, POSTPROCESS, SINK)  # everything except stages
HOST = (PREPROCESS, BANK, POSTPROCESS)  # the runtime's work outside of sessions
ENCODER = "image_encoder"


class Span(NamedTuple):
    """A phase or a call of a stage, in nanoseconds of the clock. sizes: of the stage's symbols; None for a phase."""

    name: str
    began_ns: int
    ended_ns: int
    sizes: Sizes | None = None

    @property
    def ns(self) -> int:
        return self.ended_ns - self.began_ns


def spans(frame: FrameTimes) -> list[Span]:
    """The spans of a frame in order of time; their durations add up to that of the frame."""
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
    """Nanoseconds of a frame, by phase and stage."""
    by_name: dict[str, int] = {}
    for span in spans(frame):
        by_name[span.name] = by_name.get(span.name, 0) + span.ns
    return by_name


def host_ns(frame: FrameTimes) -> int:
    """Nanoseconds of a frame between capture and masks outside of stages."""
    by_name = totals(frame)
    return sum(by_name.get(name, 0) for name in HOST)


def order(stages: Iterable[str]) -> list[str]:
    """Phases and stages in the order of a tracked frame. stages: names, in the order of the model."""
    stages = list(stages)
    encoded = stages.index(ENCODER) + 1 if ENCODER in stages else 0
    return [CAPTURE, PREPROCESS, *stages[:encoded], BANK, *stages[encoded:], POSTPROCESS, SINK]
