"""Which parts of a command line belong to which stream: prompts by a leading number, paths by {stream} in them."""

import re
from collections.abc import Sequence
from pathlib import Path

from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.sinks.kind import Target
from masklet.runtime.sinks.outputs import Outputs

PLACE = "{stream}"
_ADDRESSED = re.compile(r"(?P<stream>\d{1,4})/(?P<rest>(?:\d+)?(?:@\d+)?:.*)", re.DOTALL | re.ASCII)


def prompts_of(texts: Sequence[str], stream: int, streams: int) -> list[str]:
    """The prompts of a stream: STREAM/[ID][@FRAME]:... goes to that stream, any other prompt to every stream.

    stream: from 1 to `streams`. Raises PromptError for a stream that does not exist.
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
    """An output's path for a stream. Raises SinkError if several streams would write to one file."""
    return None if path is None else Path(target_of(path, stream, streams))


def target_of(target: Target, stream: int, streams: int) -> Target:
    """The same for the target of an output, which may be an address."""
    if streams > 1 and PLACE not in str(target):
        raise SinkError(f"{target}: {streams} sources cannot share it; put {PLACE} where their numbers go")
    return type(target)(str(target).replace(PLACE, str(stream)))


def outputs_of(outputs: Outputs, stream: int, streams: int) -> Outputs:
    """A stream's own outputs."""
    return outputs.mapped(lambda target: target_of(target, stream, streams))
