"""A clip run under observation: every measure of every object on every frame, and the pictures to show."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from masklet.calibration.diagnosis.measures.attention import asking_cells
from masklet.calibration.diagnosis.measures.measures import FrameMeasures, Looked, ObjectMeasures
from masklet.calibration.diagnosis.observer.inner_tensors import InnerTensors
from masklet.calibration.diagnosis.observer.observer import Observer
from masklet.calibration.diagnosis.observer.positions import BoolArray, Layout
from masklet.calibration.diagnosis.picture import Picture
from masklet.calibration.diagnosis.transformations.true_clip import Shot
from masklet.runtime.backends.session import Backend
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.closing import Closing
from masklet.runtime.prompts.prompts import Prompt, Schedule
from masklet.runtime.results import Frame
from masklet.runtime.tracking.known_policies import policy_of, policy_text
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker

FRAME_S = 1 / 30  # frames have no time of their own here: nothing depends on it


@dataclass(frozen=True, eq=False)
class Observation:
    """What was seen of a clip. measures: by object, frame by frame; pictures: the same, where they were kept."""

    measures: dict[int, list[FrameMeasures]]
    pictures: dict[int, list[Picture]]


class ObservedBundle(Closing):
    """A bundle whose stages are open under observation. Use it in a `with` block.

    memory:  the memory policy, by name; the model's own where None. Raises PolicyError.
    limits:  how much of its memories a frame attends to.
    shares:  whether attention shares are computed.
    backend: what opens the stages with their inner tensors; InnerTensors where None.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        memory: str | None = None,
        limits: MemoryLimits | None = None,
        threads: int | None = None,
        shares: bool = False,
        backend: Backend | None = None,
    ) -> None:
        self.bundle, self.layout, self.shares = bundle, Layout.of(bundle), shares
        self.policy = policy_text(policy_of(bundle.model, memory))
        self._memory, self._options = memory, TrackerOptions(limits=limits)
        self.observer = Observer()
        self.sessions = Sessions.open(bundle, backend or InnerTensors(threads, shares=shares), self.observer.wrap)

    def follow(
        self,
        shots: Iterable[tuple[int, Shot]],
        schedule: Schedule,
        progress: Callable[[], None],
        *,
        truth: bool = True,
        pictures: bool = False,
    ) -> Observation:
        """Run the ordinary pipeline over frames with their numbers, each object by itself.

        schedule: prompts by the frames' numbers. truth: whether the shots' masks are true ones. progress: called with
        each frame that is done.
        """
        objects = sorted({i for prompts in schedule.values() for i in prompts})
        following = {i: _Followed(i, self, truth, pictures) for i in objects}
        for number, shot in shots:
            frame = Frame(number, number * FRAME_S, np.ascontiguousarray(shot.image))
            prompts = schedule.get(number, {})
            for object_id, followed in following.items():
                mine = {object_id: prompts[object_id]} if object_id in prompts else {}
                if mine or followed.measures:
                    followed.step(frame, shot, mine)
            progress()
        return Observation(
            {i: followed.measures for i, followed in following.items()},
            {i: followed.pictures for i, followed in following.items()},
        )

    def tracker(self) -> VideoTracker:
        """A tracker on the observed stages."""
        return VideoTracker(self.sessions, self._options, self._memory)

    def close(self) -> None:
        """Close the stages."""
        self.sessions.close()


class _Followed:
    """One object with a tracker of its own: objects do not see each other, and rows need no telling apart."""

    def __init__(self, object_id: int, observed: ObservedBundle, truth: bool, pictures: bool) -> None:
        self._object_id, self._observed, self._truth, self._pictured = object_id, observed, truth, pictures
        self._tracker = observed.tracker()
        self._measured = ObjectMeasures(observed.layout, object_id)
        self._last: BoolArray | None = None
        self.measures: list[FrameMeasures] = []
        self.pictures: list[Picture] = []

    def step(self, frame: Frame, shot: Shot, prompts: Mapping[int, Prompt]) -> None:
        """Follow the object onto a frame and measure it there."""
        truth = shot.masks[self._object_id] if self._truth else None
        self._observed.observer.begin(self._asking(truth))
        found = self._last = self._tracker.step(frame, prompts).masks[0]
        grey = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), np.uint8)
        looked = Looked(frame.index, bool(prompts), grey, truth, found)
        seen, maps = self._measured.see(self._observed.observer, looked)
        self.measures.append(seen)
        if self._pictured:
            self.pictures.append(Picture.of(frame, truth, found, maps))

    def _asking(self, truth: BoolArray | None) -> Sequence[int]:
        """The cells whose attention is wanted: the object's now, or where it was found last."""
        known = self._last if truth is None else truth
        if not self._observed.shares or known is None or not known.any():
            return (0,)
        return asking_cells(self._observed.layout.object_cells(known, self._observed.layout.grid))
