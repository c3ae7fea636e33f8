"""The annotation of a clip: its prompts, and the masks that come of them."""

from collections.abc import Callable, Iterator
from pathlib import Path

from masklet.runtime.annotation.clip import Clip
from masklet.runtime.annotation.clip_masks import ClipMasks
from masklet.runtime.annotation.coverage import Direction, missing
from masklet.runtime.annotation.given_prompts import GivenPrompts, Key
from masklet.runtime.annotation.prompt_sheet import PromptSheet
from masklet.runtime.annotation.tracking_pass import TrackingPass
from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.prompts.prompts import Prompt, check_prompt
from masklet.runtime.results import FrameResult
from masklet.runtime.sinks.json_lines import object_records
from masklet.runtime.tracking.video_tracker import VideoTracker

PASSES = 3  # kept for corrections, in each direction


class Annotation:
    """Prompts on any frame of a clip, and masks that are tracked from them, forwards and backwards.

    An object's masks from its first prompt on are those of a run forwards, its masks before that those of a run
    backwards, with the prompts of the sheet. A change of prompts forgets the masks that depend on it. One thread.

    fresh: makes a tracker. folder: of prompts.json and masks.jsonl; what is there already is taken up.
    """

    def __init__(self, clip: Clip, fresh: Callable[[], VideoTracker], folder: Path) -> None:
        self.clip, self._fresh, self.folder = clip, fresh, folder
        self._masks_path = folder / "masks.jsonl"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise SinkError(f"{folder}: cannot be made a folder: {error.strerror}; give another with -o") from None
        self.sheet = PromptSheet(folder / "prompts.json", clip.name, clip.size)
        self.masks = ClipMasks()
        if self._masks_path.exists():
            self.masks.load(self._masks_path)
        self._passes: dict[Direction, list[TrackingPass]] = {"forwards": [], "backwards": []}
        self._saved_version = self.masks.version

    @property
    def given(self) -> GivenPrompts:
        """The prompts as they are now."""
        return self.sheet.given

    @property
    def saved(self) -> bool:
        """Whether the masks on disk are these."""
        return self._saved_version == self.masks.version

    def give(self, frame: int, object_id: int | None, prompt: Prompt) -> int:
        """Give a prompt to an object on a frame; to a new one where object_id is None. Returns the object's id.

        Raises PromptError where it does not fit the frame, or there is no such object.
        """
        width, height = self.clip.size
        check_prompt(prompt, (height, width))
        if frame not in self.clip.indices:
            raise PromptError(f"the clip has no frame {frame}")
        if object_id is None:
            object_id = self.sheet.new_id()
        else:
            self.given.frames(object_id)
        self._become(self.given.with_prompt(frame, object_id, prompt))
        return object_id

    def take_back(self, frame: int, object_id: int) -> None:
        """Forget what was given to an object on a frame."""
        self._become(self.given.without_prompt(frame, object_id))

    def remove(self, object_id: int) -> None:
        """Forget an object."""
        self._become(self.given.without(object_id))

    def rename(self, object_id: int, name: str) -> None:
        """Call an object something; an empty name is none."""
        self._become(self.given.named(object_id, name))

    def undo(self) -> None:
        """Undo the last change."""
        self._forget(self.sheet.undo())

    def segment(self, frame: int, object_id: int) -> Iterator[int]:
        """Find an object's mask on a frame on which it is prompted; yields each frame that this takes.

        On the first such frame the prompt alone says it; on a later one it is a correction of what is tracked there.
        """
        if frame == self.given.first(object_id):
            prompt = self.given.prompts[frame, object_id]
            self._take(self._fresh().step(self.clip.frame(frame), {object_id: prompt}), "forwards")
            yield frame
            return
        going = self._pass("forwards", frozenset({object_id}))
        while not going.reaches(frame):
            yield self._step(going, "forwards")

    def track(self, direction: Direction) -> Iterator[int]:
        """Track the objects that have no mask on some frame yet to the end of the clip; yields each frame."""
        waiting = frozenset(i for i in self.given.object_ids if self.missing(i, direction))
        if waiting:
            going = self._pass(direction, waiting)
            while not going.done:
                yield self._step(going, direction)

    def missing(self, object_id: int, direction: Direction) -> int:
        """Frames in this direction on which an object has no mask yet."""
        return missing(self.given, self.masks, self.clip.indices, object_id, direction)

    def save_masks(self) -> None:
        """Write masks.jsonl, where it is not written yet. Raises SinkError."""
        version = self.masks.version
        if not self.saved:
            self.masks.save(self._masks_path, self.clip.indices, self.clip.fps)
        self._saved_version = version

    def _pass(self, direction: Direction, objects: frozenset[int]) -> TrackingPass:
        """The pass that got farthest with these objects, or a new one."""
        passes = self._passes[direction]
        fitting = [one for one in passes if objects <= one.objects]
        if fitting:
            going = min(fitting, key=lambda one: len(one.objects))
            passes.remove(going)
        else:
            order = self.clip.indices if direction == "forwards" else self.clip.indices[::-1]
            going = TrackingPass(objects, order, self.clip.frame, self._fresh)
        self._passes[direction] = [*passes, going][-PASSES:]
        return going

    def _step(self, going: TrackingPass, direction: Direction) -> int:
        result = going.step(self.given.schedule(going.objects))
        if result is not None:
            self._take(result, direction)
        return going.frame

    def _take(self, result: FrameResult, direction: Direction) -> None:
        """Know the masks of a result, where its direction has the say."""
        for record in object_records(result):
            if (result.frame_index >= self.given.first(record["id"])) == (direction == "forwards"):
                self.masks.put(result.frame_index, record)

    def _become(self, given: GivenPrompts) -> None:
        self._forget(self.sheet.become(given))

    def _forget(self, keys: set[Key]) -> None:
        """Forget what depends on prompts that changed."""
        for object_id in {object_id for _, object_id in keys}:
            frames = [frame for frame, one in keys if one == object_id]
            if object_id in self.given.object_ids:
                first, changed = self.given.first(object_id), min(frames)
                self.masks.forget(object_id, [f for f in self.clip.indices if f >= changed or f < first])
                self._invalidate(object_id, min(frames), max(frames))
            else:
                self.masks.forget_object(object_id)
                for direction, passes in self._passes.items():
                    self._passes[direction] = [one for one in passes if object_id not in one.objects]

    def _invalidate(self, object_id: int, first: int, last: int) -> None:
        for direction, frame in (("forwards", first), ("backwards", last)):
            for one in self._passes[direction]:  # type: ignore[index]
                if object_id in one.objects:
                    one.invalidate(frame)
