"""What a family of models brings: how to load it, what its stages are, and what they are compared with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from masklet.runtime.bundle.spec import ModelSpec, StageSpec, Tensor
from masklet.runtime.errors import ExportError
from torch import nn

Feeds = Mapping[str, Tensor]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Tensor]
ImageSize = int | tuple[int, int]  # edge of square frames, or height and width, in pixels


@dataclass(frozen=True)
class Case:
    """One call of a stage to compare: the size of each symbol, and the inputs that are not left to chance.

    fixed: values that broadcast to the input's shape (a flag for all objects) or have it.
    """

    name: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportStage:
    """A stage with everything that exporting it takes.

    module:    takes the inputs by name, returns a tuple in the order of the declared outputs.
    reference: the checkpoint's own modules on the same feeds; what they return bears the names of the outputs.
    cases:     what is compared; the first is also what is traced, so its sizes are above 1 and differ.
    draws:     how inputs are drawn; floats are standard normal and bytes are uniform where nothing is said.
    rounded:   outputs that the graph rounds to bfloat16 last of all. They are compared before it (a rounding turns
               a difference of 1e-7 into one of 4e-3 here and there) and the rounding is checked on its own.
    decided:   whether a reference's outputs are clear of the thresholds that the stage cuts at. Where they are not,
               rounding alone may choose the other mask, and other feeds are drawn.
    """

    spec: StageSpec
    module: nn.Module
    reference: Callable[[Feeds], dict[str, Tensor]]
    cases: tuple[Case, ...]
    draws: Mapping[str, Draw] = field(default_factory=dict)
    rounded: frozenset[str] = frozenset()
    decided: Callable[[Feeds], bool] = lambda outputs: True

    def feeds(self, case: Case, seed: int) -> dict[str, Tensor]:
        """Feeds of a case, the same for the same seed."""
        rng = np.random.default_rng(seed)
        feeds: dict[str, Tensor] = {}
        for tensor in self.spec.inputs:
            shape = tensor.sized(case.sizes)
            if tensor.name in case.fixed:
                value = np.asarray(case.fixed[tensor.name], tensor.dtype)
                feeds[tensor.name] = np.array(np.broadcast_to(value, shape))
            else:
                draw = self.draws.get(tensor.name, _uniform_bytes if tensor.dtype == "uint8" else _normal)
                feeds[tensor.name] = draw(rng, shape).astype(tensor.dtype)
        self.spec.check(feeds)
        return feeds


@dataclass(frozen=True)
class Form:
    """Which variant of a model is exported.

    image_size:   edge of square frames in pixels, or height and width; the checkpoint's own where None.
    token_memory: memories are sets of blocks of cells, so that they can be foveated or pooled (SAM 2, SAM 3).
    """

    image_size: ImageSize | None = None
    token_memory: bool = False


class Family(Protocol):
    """A kind of model. A module in export/families/ that has one as FAMILY is found by itself."""

    name: str
    model_types: tuple[str, ...]  # of a checkpoint's config.json

    def load(self, source: str, image_size: ImageSize | None) -> Any:
        """Load a checkpoint, a hub id or a folder, for frames of image_size pixels (its own where None).

        Raises ExportError where it cannot be loaded whole, or is not laid out for this family's graphs.
        """
        ...

    def spec(self, model: Any, token_memory: bool = False) -> ModelSpec:
        """Declare the model and its stages. Raises ExportError where its memories cannot be sets of tokens."""
        ...

    def stages(self, model: Any, token_memory: bool = False) -> Iterable[ExportStage]:
        """The stages to export, built one at a time."""
        ...


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    return rng.standard_normal(shape, dtype=np.float32)


def _uniform_bytes(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def square(image_size: ImageSize, family: str) -> int:
    """The edge of square frames. Raises ExportError for others, which this family does not take."""
    height, width = sides(image_size)
    if height != width:
        raise ExportError(f"image size {width}x{height}: {family} takes square frames; give one number")
    return height


def sides(image_size: ImageSize) -> tuple[int, int]:
    """Height and width of frames, in pixels."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


def refuse_token_memory(token_memory: bool, family: str, why: str) -> None:
    """Raise ExportError where memories of tokens are asked of a family that has none."""
    if token_memory:
        raise ExportError(f"--foveated: {family} {why}; leave it out")
