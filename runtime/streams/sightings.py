"""Which objects of a stream are visible, and when each was last seen."""

from collections.abc import Callable
from dataclasses import dataclass

from masklet.runtime.results import Frame, FrameResult

Tell = Callable[[str, str], None]  # is called with what happened, in one word, and the details

LOST_AFTER = 15  # frames in a row without an object after which it is reported as lost
MOST_OBJECTS = 1000  # of which the latest seen are known: streams without an end have ever new ones
MOST_LINES = 10  # of a summary


@dataclass(slots=True)
class Sighting:
    """An object. first, last: frame indices at which it came and was last seen; None where it never was."""

    first: int
    frames: int = 0
    seen: int = 0
    last: int | None = None
    unseen: int = 0  # frames in a row


class Sightings:
    """A sink that notes which objects are visible. An object is visible in a frame where its mask is not empty.

    tell: is told when an object has not been seen for `LOST_AFTER` frames, and when it is seen again.
    """

    def __init__(self, tell: Tell = lambda what, details: None) -> None:
        self._tell = tell
        self._by_id: dict[int, Sighting] = {}
        self.visible = 0

    def write(self, frame: Frame, result: FrameResult) -> None:
        """Note the objects of a frame."""
        shown = (result.boxes_xyxy[:, 2] > result.boxes_xyxy[:, 0]).tolist()
        for object_id, visible in zip(result.object_ids.tolist(), shown, strict=True):
            self._note(object_id, visible, result.frame_index)
        self.visible = sum(shown)

    def close(self) -> None:
        """Nothing is held open."""

    def lines(self) -> list[str]:
        """A line for each object that some frame did not show: "object 2: seen in 19 of 200 frames, last at 19"."""
        missed = {key: one for key, one in sorted(self._by_id.items()) if one.seen < one.frames}
        lines = [f"object {key}: {_in_words(one)}" for key, one in missed.items()]
        more = len(lines) - MOST_LINES
        return lines if more <= 0 else [*lines[:MOST_LINES], f"{more} more objects were not visible in every frame"]

    def _note(self, object_id: int, visible: bool, index: int) -> None:
        one = self._by_id.pop(object_id, None) or Sighting(index)
        self._by_id[object_id] = one  # the latest stands last
        one.frames += 1
        if visible:
            if one.unseen >= LOST_AFTER:
                self._tell("object-found", f"object {object_id}: seen again at frame {index}")
            one.seen, one.last, one.unseen = one.seen + 1, index, 0
        else:
            one.unseen += 1
            if one.unseen == LOST_AFTER:
                since = "not seen yet" if one.last is None else f"not seen since frame {one.last}"
                self._tell("object-lost", f"object {object_id}: {since}")
        if len(self._by_id) > MOST_OBJECTS:
            del self._by_id[next(iter(self._by_id))]


def _in_words(one: Sighting) -> str:
    if one.last is None:
        return f"seen in none of {one.frames} frames"
    return f"seen in {one.seen} of {one.frames} frames, last at {one.last}"
