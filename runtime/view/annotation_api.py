"""The API of an annotation."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any

from masklet.runtime.annotation.annotation import Annotation
from masklet.runtime.annotation.clip import Clip
from masklet.runtime.annotation.coverage import most_missing
from masklet.runtime.annotation.worker import AnnotationWorker
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_records import PromptShape
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.view.annotation_messages import AnnotatedClip, Begun, Timeline, Track
from masklet.runtime.view.control import printable
from masklet.runtime.view.endpoints import FRAME, Endpoint
from masklet.runtime.view.messages import AddObject, CorrectObject, Done, RenameObject, Session
from masklet.runtime.view.shown_frame import SIDES, encode_jpeg, pack_message, shrunk

FRAMES = "/api/clip/frames/{frame}"
OBJECT = "/api/clip/objects/{object_id}"


class AnnotationApi:
    """Answers for an annotation, whose worker alone touches it.

    shown: the clip once more, for its pictures. state, timeline: of the annotation. beside: does something in another
    thread, one thing at a time.
    """

    def __init__(
        self,
        annotation: Annotation,
        worker: AnnotationWorker,
        shown: Clip,
        state: Callable[[], AnnotatedClip],
        timeline: Callable[[], Timeline],
        beside: Callable[[Callable[[], Any]], Awaitable[Any]],
    ) -> None:
        self._annotation, self._worker, self._shown = annotation, worker, shown
        self._state, self._timeline, self._beside = state, timeline, beside

    def endpoints(self) -> list[Endpoint]:
        """Everything that can be asked for."""
        prompts = f"{FRAMES}/objects/{{object_id}}/prompts"
        return [
            Endpoint("GET", "/api/session", "What this page is for.", self.get_session, answer=Session),
            Endpoint("GET", "/api/clip", "The clip and its objects.", self.get_clip, answer=AnnotatedClip),
            Endpoint("GET", "/api/clip/timeline", "Every object along the clip.", self.get_timeline, answer=Timeline),
            Endpoint("GET", f"{FRAMES}/picture/{{side}}", "A frame and its masks.", self.get_frame, answer=FRAME),
            Endpoint("POST", f"{FRAMES}/objects", "Add an object on a frame.", self.add_object, AddObject, Done),
            Endpoint("POST", prompts, "Correct an object on a frame.", self.correct_object, CorrectObject, Done),
            Endpoint("DELETE", prompts, "Forget an object's prompts on a frame.", self.take_back),
            Endpoint("PATCH", OBJECT, "Rename an object.", self.rename_object, RenameObject),
            Endpoint("DELETE", OBJECT, "Forget an object.", self.remove_object),
            Endpoint("POST", "/api/clip/undo", "Undo the last change.", self.undo),
            Endpoint("POST", "/api/clip/track", "Track to an end of the clip.", self.track, Track, Begun),
            Endpoint("POST", "/api/clip/stop", "Stop tracking.", self.stop),
            Endpoint("GET", "/api/clip/prompts", "The prompts file.", self.get_prompts, answer="application/json"),
        ]

    async def get_session(self) -> Session:
        return Session("annotation")

    async def get_clip(self) -> AnnotatedClip:
        return self._state()

    async def get_timeline(self) -> Timeline:
        found: Timeline = await self._beside(self._timeline)
        return found

    async def get_frame(self, frame: int, side: int) -> bytes:
        least, most = SIDES
        found: bytes = await self._beside(lambda: self._message(frame, min(max(side, least), most)))
        return found

    async def add_object(self, frame: int, body: AddObject) -> Done:
        prompt, name = self._prompt(body), printable(body.name)
        object_id = await self._do(lambda of: of.give(frame, None, prompt))
        if name:
            await self._do(lambda of: of.rename(object_id, name))
        return await self._segment(frame, object_id)

    async def correct_object(self, frame: int, object_id: int, body: CorrectObject) -> Done:
        prompt = self._prompt(body)
        await self._do(lambda of: of.give(frame, object_id, prompt))
        return await self._segment(frame, object_id)

    async def take_back(self, frame: int, object_id: int) -> None:
        await self._change(lambda of: of.take_back(frame, object_id))

    async def rename_object(self, object_id: int, body: RenameObject) -> None:
        await self._change(lambda of: of.rename(object_id, printable(body.name)))

    async def remove_object(self, object_id: int) -> None:
        await self._change(lambda of: of.remove(object_id))

    async def undo(self) -> None:
        await self._change(lambda of: of.undo())

    async def track(self, body: Track) -> Begun:
        """Begins; the state says how far it is."""

        def begin(of: Annotation) -> Begun:
            total = most_missing(of.given, of.masks, of.clip.indices, body.direction)
            if not total:
                raise PromptError(f"nothing is left to track {body.direction}: every frame has its masks")
            self._begin(of, f"tracking {body.direction}", lambda of: of.track(body.direction), total)
            return Begun(self._worker.begun)

        begun: Begun = await self._do(begin)
        return begun

    async def stop(self) -> None:
        await self._do(lambda of: self._worker.stop())

    async def get_prompts(self) -> bytes:
        found: bytes = await self._do(lambda of: of.sheet.file().encode())
        return found

    async def _do(self, ask: Callable[[Annotation], Any]) -> Any:
        return await asyncio.wrap_future(self._worker.do(ask))

    async def _change(self, change: Callable[[Annotation], None]) -> None:
        """Change the annotation, and save what is left of its masks."""

        def changed(of: Annotation) -> None:
            change(of)
            of.save_masks()

        await self._do(changed)

    def _begin(
        self, of: Annotation, what: str, steps: Callable[[Annotation], Iterator[int]], total: int
    ) -> "Future[None]":
        """Begin a long work, whose masks are saved at its end, whatever ends it."""
        work = self._worker.begin(what, steps, total)
        work.add_done_callback(lambda _: of.save_masks())
        return work

    async def _segment(self, frame: int, object_id: int) -> Done:
        """Find the object on the frame; tracks there first where it is a correction."""

        def begin(of: Annotation) -> Any:
            first = of.given.first(object_id)
            total = sum(1 for index in of.clip.indices if first <= index <= frame)
            what = f"tracking object {object_id} to frame {frame}"
            return self._begin(of, what, lambda of: of.segment(frame, object_id), total)

        await asyncio.wrap_future(await self._do(begin))
        return Done(frame, object_id)

    def _prompt(self, shape: PromptShape) -> Prompt:
        width, height = self._annotation.clip.size
        if shape.mask is not None and shape.mask.size != (height, width):
            rows, columns = shape.mask.size
            raise PromptError(f"the mask is {columns}x{rows} pixels, but the frame is {width}x{height}")
        return shape.prompt()

    def _message(self, index: int, side: int) -> bytes:
        frame = self._shown.frame(index)
        height, width = frame.hw
        line = {
            "frame": index,
            "time_s": round(frame.time_s, 6),
            "size": [height, width],
            "objects": self._annotation.masks.of(index),
        }
        return pack_message(line, encode_jpeg(shrunk(frame.image, side)))
