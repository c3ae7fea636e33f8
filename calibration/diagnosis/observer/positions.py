"""The five positions at which a model is observed, in the order in which a frame passes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from math import isqrt

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from masklet.calibration.diagnosis.observer.inner_tensors import PROMPTED_CELLS
from masklet.calibration.graphs.stage_graph import initializers
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import CalibrationError
from typing_extensions import Self

F32 = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Grid = tuple[int, int]  # rows and columns of cells
Outputs = Mapping[str, Mapping[str, Tensor]]  # of one frame and one object, by stage and tensor
PLACED_LATENTS = "latents_2d"  # in the name of the parameter that EdgeTAM's latents with a place begin as
CELL_SHARE = 0.5  # of a cell that an object covers, from which the cell is the object's


class Position(Enum):
    """Where a model is observed. The value names it in reports."""

    IMAGE = "image embedding"
    ATTENTION = "memory attention"
    PROMPT = "prompt attention"
    MASK = "mask"
    MEMORY = "memory"

    @property
    def stage(self) -> str:
        """The stage whose output it is."""
        return _PLACES[self][0]


_PLACES = {
    Position.IMAGE: ("image_encoder", "vision_feat"),
    Position.ATTENTION: ("memory_attention", "image_embed"),
    Position.PROMPT: ("mask_decoder", PROMPTED_CELLS),
    Position.MASK: ("mask_decoder", "candidate_masks"),
    Position.MEMORY: ("memory_encoder", "new_memory"),
}


@dataclass(frozen=True)
class Layout:
    """How a model's cells lie: rows and columns. The frame fills both grids, whatever its aspect ratio.

    grid:        of the maps of the image.
    memory_grid: of what the memory encoder makes; its tokens follow `placeless` ones that see the whole frame.
    """

    grid: Grid
    memory_grid: Grid
    placeless: int = 0

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """The layout of a bundle. Raises CalibrationError where the model follows nothing or its memory is unknown."""
        model = bundle.model
        if model.memory is None:
            raise CalibrationError(
                f"{bundle.root}: segments single images; diagnosing takes a model that follows objects (SAM 2, "
                "EdgeTAM, SAM 3's tracker)"
            )
        grid = rows, columns = model.feature_hw
        remembered = {t.name: t for t in model.stage("memory_encoder").outputs}
        tokens = int(remembered["new_memory"].shape[1])
        if tokens == rows * columns:
            return cls(grid, grid)
        placed = _placed_latents(bundle)
        return cls(grid, (isqrt(placed), isqrt(placed)), tokens - placed)

    def grid_at(self, position: Position) -> Grid:
        """The grid of a position's cells."""
        return self.memory_grid if position is Position.MEMORY else self.grid

    @property
    def grids(self) -> set[Grid]:
        """Both grids."""
        return {self.grid, self.memory_grid}

    def features(self, position: Position, outputs: Outputs) -> F32 | None:
        """What a position holds of one object, [cells, channels]; None where its stage was not run.

        Nor on a frame on which the object is prompted, after the prompt's attention: what the decoder is told there is
        in its cells as on no other frame.
        """
        stage, name = _PLACES[position]
        if stage not in outputs or (position is Position.PROMPT and Position.ATTENTION.stage not in outputs):
            return None
        tensor: F32 = np.asarray(outputs[stage][name], np.float32)[0]
        if position is Position.MEMORY:
            return tensor[self.placeless :]
        if position is Position.MASK:
            return shrunk(np.ascontiguousarray(tensor.transpose(1, 2, 0)), self.grid).reshape(-1, len(tensor))
        return tensor if position is Position.PROMPT else np.ascontiguousarray(tensor.reshape(len(tensor), -1).T)

    def logits(self, feeds: Outputs, outputs: Outputs) -> F32:
        """The logits of the mask that is taken, a mean for each cell, [cells].

        It is what becomes memory, and the decoder's own on a frame that the memory policy does not keep.
        """
        taken = feeds["memory_encoder"] if "memory_encoder" in feeds else outputs["mask_decoder"]
        return shrunk(np.asarray(taken["low_res_mask"][0, 0]), self.grid).ravel()

    def object_cells(self, mask: BoolArray, grid: Grid) -> BoolArray:
        """The cells of a grid that are an object's. mask: [H, W] in the frame's pixels. Returns [cells].

        Half of a cell must be covered, or half as much as of the one that is covered most where none is. None are where
        the mask is empty.
        """
        covered = shrunk(mask.astype(np.float32), grid).ravel()
        cells: BoolArray = covered >= max(min(CELL_SHARE, covered.max() / 2), 1e-6)
        return cells


def shrunk(picture: F32, grid: Grid) -> F32:
    """The mean of every cell of a picture [H, W] or [H, W, channels]: [rows, columns] or [rows, columns, channels]."""
    return np.asarray(cv2.resize(picture, grid[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _placed_latents(bundle: Bundle) -> int:
    """How many of a memory's latents lie on a grid: the model's own number, in the memory encoder's graph."""
    path = bundle.path(OnnxRuntime().artifact(bundle, bundle.model.stage("memory_encoder")))
    constants = initializers(onnx.load(path, load_external_data=False).graph)
    for name, constant in constants.items():
        if PLACED_LATENTS in name:
            return int(constant.dims[-2])
    raise CalibrationError(f"{bundle.root}: how its memories lie in the frame is not known; export the model again")
