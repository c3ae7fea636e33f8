"""What the API does to a stream: each request of it as a request to the stream's tracker, or to its pace."""

import asyncio
import unicodedata

from masklet.runtime.concepts.concept import Concept, Exemplar
from masklet.runtime.errors import MaskletError, PromptError
from masklet.runtime.prompts.prompt_records import PromptShape
from masklet.runtime.prompts.prompts import Box, Prompt, check_prompt
from masklet.runtime.streams.requests import Effect, LookFor, PromptObject, RemoveObject, StreamRequest, UndoLast
from masklet.runtime.view.messages import (
    AddObject,
    CorrectObject,
    Done,
    RenameObject,
    SetPhrases,
    SetPlayback,
)
from masklet.runtime.view.watched_stream import WatchedStream

PATIENCE_S = 20.0  # a request that no frame has answered for so long is withdrawn


class GoneError(MaskletError):
    """What is asked for is not there, or not any more."""


async def add_object(stream: WatchedStream, body: AddObject) -> Done:
    """Add an object on the next frame."""
    done = await _ask(stream, PromptObject(None, _prompt(stream, body)))
    if body.name and done.object is not None:
        _rename(stream, done.object, body.name)
    return done


async def correct_object(stream: WatchedStream, object_id: int, body: CorrectObject) -> Done:
    """Correct an object on the next frame."""
    _check_tracked(stream, object_id)
    return await _ask(stream, PromptObject(object_id, _prompt(stream, body)))


async def remove_object(stream: WatchedStream, object_id: int) -> Done:
    """Stop tracking an object."""
    _check_tracked(stream, object_id)
    return await _ask(stream, RemoveObject(object_id))


async def rename_object(stream: WatchedStream, object_id: int, body: RenameObject) -> None:
    """Call an object something; its results keep its number."""
    _check_tracked(stream, object_id)
    _rename(stream, object_id, body.name)


async def undo(stream: WatchedStream) -> Done:
    """Undo the last prompt or removal."""
    return await _ask(stream, UndoLast())


async def set_phrases(stream: WatchedStream, body: SetPhrases) -> Done:
    """Look for every instance of phrases, or of what exemplars show, from the next frame on."""
    exemplars = tuple(Exemplar(Box(*one.box), one.positive) for one in body.exemplars)
    if exemplars and len(body.phrases) > 1:
        raise PromptError(f"exemplars are of one phrase, got {len(body.phrases)}; give one with them, or none")
    if exemplars:
        concepts: tuple[Concept, ...] = (Concept(body.phrases[0] if body.phrases else None, exemplars),)
    else:
        concepts = tuple(Concept(phrase) for phrase in dict.fromkeys(body.phrases))
    if stream.newest is not None:
        for concept in concepts:
            concept.check(stream.newest.frame.hw)
    done = await _ask(stream, LookFor(concepts))
    stream.concepts = concepts
    stream.steering.book.names = {}
    return done


async def set_playback(stream: WatchedStream, body: SetPlayback) -> None:
    """Pause a file, go on, step, or keep to its rate."""
    pace = stream.steering.pace
    if pace is None:
        raise PromptError(f"stream {stream.number} is no file: it cannot be paused")
    if body.real_time is not None:
        pace.run_in_real_time(body.real_time)
    if body.paused is not None:
        pace.pause(body.paused)
    if body.step is not None:
        if not pace.paused:
            pace.pause(True)
        pace.step(body.step)


async def _ask(stream: WatchedStream, request: StreamRequest) -> Done:
    """Ask the stream's tracker, and wait for the frame that answers."""
    answer = asyncio.wrap_future(stream.steering.tracker.ask(request))
    try:
        effect: Effect = await asyncio.wait_for(answer, PATIENCE_S)
    except TimeoutError:
        raise GoneError(
            f"stream {stream.number} has had no frame for {PATIENCE_S:.0f} s; the request was withdrawn"
        ) from None
    return Done(effect.frame, effect.object_id)


def _prompt(stream: WatchedStream, shape: PromptShape) -> Prompt:
    """A prompt that fits the stream's frames. Raises PromptError, before a mask of another size is even decoded."""
    newest = stream.newest
    if newest is None:
        raise PromptError(f"stream {stream.number} has shown no frame yet; prompt what can be seen")
    height, width = newest.frame.hw
    if shape.mask is not None and shape.mask.size != (height, width):
        rows, columns = shape.mask.size
        raise PromptError(f"the mask is {columns}x{rows} pixels, but the frame is {width}x{height}")
    prompt = shape.prompt()
    check_prompt(prompt, newest.frame.hw)
    return prompt


def _check_tracked(stream: WatchedStream, object_id: int) -> None:
    tracked = stream.steering.tracker.object_ids
    if object_id not in tracked:
        raise GoneError(f"object {object_id} of stream {stream.number} is not tracked; there are {tracked or 'none'}")


def _rename(stream: WatchedStream, object_id: int, name: str) -> None:
    book = stream.steering.book
    book.names = {i: n for i, n in {**book.names, object_id: printable(name)}.items() if n}


def printable(name: str) -> str:
    """A name as one line of what can be printed."""
    return "".join(c for c in " ".join(name.split()) if unicodedata.category(c)[0] != "C")
