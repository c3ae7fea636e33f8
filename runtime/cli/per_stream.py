"""What of a command line belongs to which stream: prompts by a number before them, paths by {stream} in them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.sinks.outputs import Outputs

PLACE = "{stream}"
_ADDRESSED = re.compile(r"(?P<stream>\d{1,4})/(?P<rest>(?:\d+)?(?:@\d+)?:.*)", re.DOTALL | re.ASCII)


def prompts_of(texts: Sequence[str], stream: int, streams: int) -> list[str]:
    """The prompts of a stream: STREAM/[ID][@FRAME]:... goes to that stream, any other to every one.

    stream: from 1, of so many. Raises PromptError for a stream that there is not.
    """
    mine = []
    for text in texts:
        match = _ADDRESSED.fullmatch(text)
        number = int(match["stream"]) if match else stream
        if not 1 <= number <= streams:
            raise PromptError(f"{text}: there is no stream {number}; sources are numbered 1 to {streams}")
        if number == stream:
            mine.append(match["rest"] if match else text)
    return mine


def path_of(path: Path | None, stream: int, streams: int) -> Path | None:
    """An output's path for a stream. Raises SinkError where several streams would write to one."""
    if path is None:
        return None
    if streams > 1 and PLACE not in str(path):
        raise SinkError(f"{path}: {streams} sources cannot share it; put {PLACE} where their numbers go")
    return Path(str(path).replace(PLACE, str(stream)))


def outputs_of(outputs: Outputs, stream: int, streams: int) -> Outputs:
    """A stream's own outputs."""
    overlay, masks, pngs = (path_of(p, stream, streams) for p in (outputs.overlay, outputs.masks, outputs.pngs))
    return replace(outputs, overlay=overlay, masks=masks, pngs=pngs)
