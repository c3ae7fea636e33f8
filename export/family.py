"""The protocol of a model family: how to load it, its stages, and the references they are compared with."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from masklet.export.checkpoints.pretrained import Source
from masklet.runtime.bundle.spec import ModelSpec, StageSpec, Tensor
from masklet.runtime.errors import ExportError
from torch import nn

Feeds = Mapping[str, Tensor]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Tensor]
ImageSize = int | tuple[int, int]  # edge of square frames, or height and width, in pixels


@dataclass(frozen=True)
class Case:
    """One call of a stage to compare: the size of each symbol, and the inputs that are not drawn at random.

    fixed: values of inputs; they have the shape of the input, or broadcast to it (a flag for all objects).
    """

    name: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExportStage:
    """A stage with everything needed to export it.

    module:    takes the inputs by name, returns a tuple in the order of the declared outputs.
    reference: runs the checkpoint's own modules on the same inputs; returns outputs by name.
    cases:     the calls to compare; the first one is also traced, so its sizes are above 1 and all different.
    draws:     how inputs are drawn; by default floats are standard normal and bytes are uniform.
    rounded:   outputs that the graph finally rounds to bfloat16. They are compared before the rounding (which turns a
               difference of 1e-7 into one of 4e-3 in some places), and the rounding is checked separately.
    decided:   whether the outputs of the reference are far enough from the thresholds of the stage. Otherwise rounding
               alone may select another mask, and other inputs are drawn.
    """

    spec: StageSpec
    module: nn.Module
    reference: Callable[[Feeds], dict[str, Tensor]]
    cases: tuple[Case, ...]
    draws: Mapping[str, Draw] = field(default_factory=dict)
    rounded: frozenset[str] = frozenset()
    decided: Callable[[Feeds], bool] = lambda outputs: True

    def feeds(self, case: Case, seed: int) -> dict[str, Tensor]:
        """Inputs of a case, identical for identical seeds."""
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
    """A kind of model. A module in export/families/ with a FAMILY is found by itself."""

    name: str
    model_types: tuple[str, ...]  # of a checkpoint's config.json

    def load(self, source: Source, image_size: ImageSize | None) -> Any:
        """Load a hub id, a folder or a file of weights for frames of image_size pixels (None for its own size).

        Raises ExportError if it is incomplete, or its configuration is not supported by the graphs of this family.
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
