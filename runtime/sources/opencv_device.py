"""A device read by OpenCV: a camera or a pipeline."""

from typing import Any, Protocol

import cv2
import numpy as np
from masklet.runtime.sources.live import LostError, Picture

DEFAULT_RATE = 30.0


class VideoCapture(Protocol):
    """The part of cv2.VideoCapture that is used; tests imitate it."""

    def isOpened(self) -> bool: ...  # noqa: N802 OpenCV's name

    def read(self) -> tuple[bool, Any]: ...

    def get(self, propId: int, /) -> float: ...

    def release(self) -> None: ...


class OpenCvDevice:
    """An opened capture as a device. OpenCV delivers BGR, and silently drops frames that it cannot decode."""

    about = "OpenCV"

    def __init__(self, name: str, capture: VideoCapture) -> None:
        self._name, self._capture = name, capture
        self.rate = capture.get(cv2.CAP_PROP_FPS) or DEFAULT_RATE

    def read(self) -> Picture | None:
        came, image = self._capture.read()
        if not came:
            raise LostError(f"{self._name}: the device is gone or sends nothing")
        if image.size == 0:
            return None
        return Picture(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8), None)

    def close(self) -> None:
        self._capture.release()
