"""A clip in memory's reach: its frames on disk, decoded once, and its true masks, so that any frame can be taken."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from masklet.calibration.clips.clips import Clip
from masklet.calibration.progress import Tell
from masklet.runtime.errors import CalibrationError

U8 = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A frame with its truth. image: [H, W, 3] uint8 RGB; masks: [H, W] by object, what of it can be seen."""

    image: U8
    masks: Mapping[int, BoolArray]


@dataclass(frozen=True, eq=False)
class TrueClip:
    """Frames that can be taken in any order. images: [frames, H, W, 3] uint8 RGB; masks: bits by frame and object."""

    name: str
    images: U8
    packed: Sequence[Mapping[int, U8]]
    objects: tuple[int, ...]
    frame_indices: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the frames in pixels."""
        return self.images.shape[1], self.images.shape[2]

    def shot(self, number: int) -> Shot:
        """A frame, by its number among those that were read."""
        masks = {i: self._mask(number, i) for i in self.objects}
        return Shot(self.images[number], masks)

    def shots(self) -> Iterator[Shot]:
        """Every frame, in order."""
        return (self.shot(number) for number in range(len(self)))

    def _mask(self, number: int, object_id: int) -> BoolArray:
        height, width = self.hw
        bits = self.packed[number].get(object_id)
        if bits is None:
            return np.zeros(self.hw, np.bool_)
        return np.unpackbits(bits, count=height * width).reshape(height, width).view(np.bool_)


@contextmanager
def open_true_clip(clip: Clip, objects: Sequence[int], progress: Tell) -> Iterator[TrueClip]:
    """Read a clip's frames into a file that goes with the block, and its true masks into memory.

    objects: whose masks are wanted. Raises CalibrationError where no frame comes, the frames differ in size, a frame
    has no truth or one of another size.
    """
    with clip.open() as source, tempfile.TemporaryFile() as file:
        packed: list[dict[int, U8]] = []
        indices: list[int] = []
        hw: tuple[int, int] | None = None
        for frame in source:
            if hw is not None and frame.hw != hw:
                raise CalibrationError(f"{clip.source}: frame {frame.index} has another size than those before it")
            hw = frame.hw
            file.write(np.ascontiguousarray(frame.image).tobytes())
            packed.append(_packed(clip, frame.index, hw, objects))
            indices.append(frame.index)
            progress("reading the clip", len(indices), source.frames)
        if hw is None:
            raise CalibrationError(f"{clip.source}: no frame came, so there is nothing to diagnose")
        file.flush()
        images = np.memmap(file, np.uint8, "r", shape=(len(indices), *hw, 3))
        yield TrueClip(Path(clip.source).name, images, packed, tuple(objects), tuple(indices))


def _packed(clip: Clip, frame: int, hw: tuple[int, int], objects: Sequence[int]) -> dict[int, U8]:
    if clip.truth is None:
        return {}
    masks = clip.truth.masks(frame, hw)
    if masks is None:
        raise CalibrationError(
            f"{clip.source}: frame {frame} has no true mask; give one for every frame, an empty one where nothing "
            "is in sight, or cut the clip with --start, --end and --stride"
        )
    return {i: np.packbits(masks[i]) for i in objects if i in masks}
