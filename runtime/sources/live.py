"""A live source that reconnects after a loss, with increasing pauses."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.source import U8, Cut, Source

FIRST_S, LONGEST_S = 0.5, 30.0  # first and longest pause before reconnecting; pauses double
SAME_ASPECT = 0.02  # two sizes whose aspect ratios differ by less show the same picture at two resolutions
CORRUPT_AT_START = 100  # if so many first frames are corrupt, the connection has failed


class LostError(SourceError):
    """A connected camera or stream was lost, or was silent for too long."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A picture from a device. image: [H, W, 3] uint8 RGB; time_s: by the device's own clock, None without a clock."""

    image: U8
    time_s: float | None


class Device(Protocol):
    """A connected camera or stream.

    rate:  frames per second.
    about: what reads and decodes it, for the log.
    """

    @property
    def rate(self) -> float: ...

    @property
    def about(self) -> str: ...

    def read(self) -> Picture | None:
        """Wait for the next picture; None for a corrupt one. Raises LostError, after its time-out at the latest."""
        ...

    def close(self) -> None: ...


class LiveSource(Source):
    """Frames of a device, with reconnection.

    The index of a frame counts all frames that the device sent, including corrupt ones; nothing is counted during an
    outage. The time of a frame is from the device's clock if it has one, otherwise its time of arrival, counted from
    the first frame; an outage is measured by the local clock. If a device returns with another resolution, frames are
    scaled to the first one, because prompts, masks and videos need one frame of reference; another aspect ratio ends
    the source.

    connect: opens the device; raises SourceError. The first call is in the constructor, so that the error is seen.
    clock:   returns seconds.
    wait:    pauses for a number of seconds, less if `stop` is called.
    """

    lossy = True

    def __init__(
        self,
        name: str,
        connect: Callable[[], Device],
        cut: Cut,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        if cut.reverse:
            raise SourceError(f"{name}: a live source cannot be read backwards")
        self._connect, self._clock = connect, clock
        self._stopped = threading.Event()
        self._wait = wait or self._stopped.wait
        self._device: Device | None = connect()
        self._corrupt_at_start, first = self._first_picture(name, self._device)
        self._waiting: Picture | None = first
        height, width, _ = first.image.shape
        self._hw = self._latest_hw = (height, width)
        super().__init__(name, cut, self._hw, self._device.rate, None)
        self.about = self._device.about
        self.began_ns = time.time_ns()
        self._index = 0
        self._came_s = self._origin_s = clock()
        self._last_s = self._began_s = 0.0
        self._device_began_s: float | None = None
        self._pause_s = FIRST_S
        self._returning = False

    def go_on(self, index: int, time_s: float) -> None:
        self._index = index
        self._origin_s -= time_s
        if self.began_ns is not None:
            self.began_ns -= round(time_s * 1e9)

    def __iter__(self) -> Iterator[Frame]:
        try:
            for came_s, picture in self._pictures():
                index, self._index = self._index, self._index + 1
                if self.cut.takes(index):
                    if picture is None:
                        self.corrupt += 1
                    else:
                        yield Frame(index, self._time_s(picture, came_s), self._fitted(picture.image))
                if self.cut.end is not None and self._index >= self.cut.end:
                    return
        finally:
            self._disconnect()

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        """Release a device that was not iterated over; an iteration releases its device at its end."""
        self.stop()
        if self._waiting is not None:
            self._disconnect()

    def _pictures(self) -> Iterator[tuple[float, Picture | None]]:
        """All pictures with their times of arrival, None for corrupt ones, across outages, until `stop`.

        The first one came when the source was opened: backends that load until it is asked for do not delay its time.
        """
        first, self._waiting = self._waiting, None
        yield from [(self._came_s, None)] * self._corrupt_at_start
        if first is not None:
            yield self._came_s, first
        while not self._stopped.is_set():
            try:
                picture = self._connected().read()
            except SourceError as error:
                self._back_off(error)
                continue
            if self._returning:
                self._returned()
            if picture is not None:
                self._pause_s = FIRST_S
            yield self._clock(), picture

    def _connected(self) -> Device:
        if self._device is None:
            self._device = self._connect()
            self._device_began_s = None
            self._returning = True
        return self._device

    def _returned(self) -> None:
        """A frame came again: a pipeline counts as connected only then, since it connects while it is read."""
        self._returning = False
        self.reconnects += 1
        self.tell("reconnected", f"after {self._clock() - self._origin_s - self._last_s:.1f} s without a frame")

    def _back_off(self, error: SourceError) -> None:
        self._disconnect()
        if not self._stopped.is_set():
            self.tell("lost", f"{error}; the next try is in {self._pause_s:g} s")
            self._wait(self._pause_s)
            self._pause_s = min(2 * self._pause_s, LONGEST_S)

    def _disconnect(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def _first_picture(self, name: str, device: Device) -> tuple[int, Picture]:
        """The number of corrupt pictures at the start, and the first one that can be decoded."""
        try:
            for corrupt in range(CORRUPT_AT_START):
                picture = device.read()
                if picture is not None:
                    return corrupt, picture
            raise SourceError(f"{name}: none of its first {CORRUPT_AT_START} frames can be decoded")
        except SourceError:
            device.close()
            raise

    def _time_s(self, picture: Picture, came_s: float) -> float:
        """Seconds since the first frame; never less than for the previous frame."""
        now_s = came_s - self._origin_s
        if self._device_began_s is None:
            self._began_s, self._device_began_s = now_s, picture.time_s
        if picture.time_s is not None and self._device_began_s is not None:
            now_s = self._began_s + picture.time_s - self._device_began_s
        self._last_s = max(self._last_s, now_s)
        return self._last_s

    def _fitted(self, image: U8) -> U8:
        height, width, _ = image.shape
        if (height, width) != self._latest_hw:
            self._latest_hw = (height, width)
            self._check_aspect(width / height)
            self.tell("resized", f"it sends {width}x{height} now; frames are scaled to {self._hw[1]}x{self._hw[0]}")
        if (height, width) != self._hw:
            shrinks = height > self._hw[0]
            filter_ = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, self._hw[::-1], interpolation=filter_), np.uint8)
        return self.cut.shrink(image)

    def _check_aspect(self, aspect: float) -> None:
        height, width = self._hw
        if abs(aspect * height / width - 1) > SAME_ASPECT:
            now_h, now_w = self._latest_hw
            raise SourceError(
                f"{self.name}: it sent {width}x{height} pixels and now sends {now_w}x{now_h}, another aspect ratio; "
                f"restore the setting of the camera, or start again with prompts for the new picture"
            )
