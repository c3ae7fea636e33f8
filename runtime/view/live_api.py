"""The control API of running streams."""

from collections.abc import Awaitable, Callable, Mapping

from masklet.runtime.prompts.prompt_file import PromptFile
from masklet.runtime.view import control
from masklet.runtime.view.control import GoneError
from masklet.runtime.view.endpoints import Endpoint
from masklet.runtime.view.messages import (
    AddObject,
    CorrectObject,
    Done,
    Json,
    Metrics,
    RenameObject,
    Session,
    SetPhrases,
    SetPlayback,
    State,
    ViewedObject,
    ViewedStream,
)
from masklet.runtime.view.shown_frame import ShownFrame
from masklet.runtime.view.snapshot import snapshot
from masklet.runtime.view.watched_stream import WatchedStream

ONE = "/api/streams/{stream}"
OBJECT = f"{ONE}/objects/{{object_id}}"


class LiveApi:
    """Answers for streams by their numbers. state: of all of them. beside: does something in another thread."""

    def __init__(
        self,
        streams: Mapping[int, WatchedStream],
        state: Callable[[], State],
        beside: Callable[[Callable[[], bytes]], Awaitable[bytes]],
    ) -> None:
        self._streams, self._state, self._beside = streams, state, beside

    def endpoints(self) -> list[Endpoint]:
        """Everything that can be asked for."""
        return [
            Endpoint("GET", "/api/session", "What this page is for.", self.get_session, answer=Session),
            Endpoint("GET", "/api/streams", "Every stream.", self.list_streams, answer=list[ViewedStream]),
            Endpoint("GET", ONE, "One stream.", self.get_stream, answer=ViewedStream),
            Endpoint("GET", f"{ONE}/objects", "Its objects.", self.list_objects, answer=list[ViewedObject]),
            Endpoint("POST", f"{ONE}/objects", "Add an object.", self.add_object, AddObject, Done),
            Endpoint("POST", f"{OBJECT}/prompts", "Correct an object.", self.correct_object, CorrectObject, Done),
            Endpoint("PATCH", OBJECT, "Rename an object.", self.rename_object, RenameObject),
            Endpoint("DELETE", OBJECT, "Stop tracking an object.", self.remove_object, answer=Done),
            Endpoint("POST", f"{ONE}/undo", "Undo the last prompt or removal.", self.undo, answer=Done),
            Endpoint("PUT", f"{ONE}/phrases", "Look for phrases (SAM 3).", self.set_phrases, SetPhrases, Done),
            Endpoint("PUT", f"{ONE}/playback", "Pause or step a file.", self.set_playback, SetPlayback),
            Endpoint("GET", f"{ONE}/result", "Its newest result.", self.get_result, answer=Json),
            Endpoint("GET", f"{ONE}/picture", "Its newest picture.", self.get_picture, answer="image/jpeg"),
            Endpoint("GET", f"{ONE}/prompts", "The prompts of this run.", self.get_prompts, answer="application/json"),
            Endpoint("GET", f"{ONE}/snapshot", "Picture, masks, prompts.", self.get_snapshot, answer="application/zip"),
            Endpoint("GET", "/api/metrics", "Backend, memory, stages.", self.get_metrics, answer=Metrics),
        ]

    async def get_session(self) -> Session:
        return Session("live")

    async def list_streams(self) -> list[ViewedStream]:
        return self._state().streams

    async def get_stream(self, stream: int) -> ViewedStream:
        return self._stream(stream).state()

    async def list_objects(self, stream: int) -> list[ViewedObject]:
        return self._stream(stream).state().objects

    async def add_object(self, stream: int, body: AddObject) -> Done:
        return await control.add_object(self._stream(stream), body)

    async def correct_object(self, stream: int, object_id: int, body: CorrectObject) -> Done:
        return await control.correct_object(self._stream(stream), object_id, body)

    async def rename_object(self, stream: int, object_id: int, body: RenameObject) -> None:
        await control.rename_object(self._stream(stream), object_id, body)

    async def remove_object(self, stream: int, object_id: int) -> Done:
        return await control.remove_object(self._stream(stream), object_id)

    async def undo(self, stream: int) -> Done:
        return await control.undo(self._stream(stream))

    async def set_phrases(self, stream: int, body: SetPhrases) -> Done:
        return await control.set_phrases(self._stream(stream), body)

    async def set_playback(self, stream: int, body: SetPlayback) -> None:
        await control.set_playback(self._stream(stream), body)

    async def get_result(self, stream: int) -> Json:
        return self._shown(stream).line()

    async def get_picture(self, stream: int) -> bytes:
        shown = self._shown(stream)
        return await self._beside(lambda: shown.jpeg(max(shown.frame.hw)))

    async def get_prompts(self, stream: int) -> bytes:
        return self._prompts(stream).encode()

    async def get_snapshot(self, stream: int) -> bytes:
        shown, prompts = self._shown(stream), self._prompts(stream)
        return await self._beside(lambda: snapshot(shown, prompts))

    async def get_metrics(self) -> Metrics:
        return self._state().metrics

    def _stream(self, number: int) -> WatchedStream:
        if number not in self._streams:
            raise GoneError(f"there is no stream {number}; streams are numbered {', '.join(map(str, self._streams))}")
        return self._streams[number]

    def _shown(self, number: int) -> ShownFrame:
        shown = self._stream(number).newest
        if shown is None:
            raise GoneError(f"stream {number} has shown no frame yet")
        return shown

    def _prompts(self, number: int) -> PromptFile:
        steering = self._stream(number).steering
        source, book = steering.stream.source, steering.book
        return PromptFile(source=source.name, size=source.size, names=dict(book.names), prompts=list(book.live))
