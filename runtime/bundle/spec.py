"""The declaration of a model and its stages, which export, runtime, calibration and profiles read.

A model is a list of stages. A stage has named inputs and outputs, each with a dtype and a shape of numbers and
symbols; a symbol ("objects", "memories", "points") has one size within a call. The exporter derives names, dynamic
axes and example inputs from the declaration, the manifest stores it, and sessions check their inputs against it.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from masklet.runtime.errors import SpecError

Tensor = npt.NDArray[Any]
DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")


class TensorSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """A named tensor. `shape` holds numbers, or symbols whose size the inputs of a call determine."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise SpecError(f"tensor name {self.name!r} is not an identifier")
        if self.dtype not in DTYPES:
            raise SpecError(f"tensor {self.name!r}: unknown dtype {self.dtype!r}; expected one of {', '.join(DTYPES)}")
        for size in self.shape:
            if isinstance(size, str) and not size.isidentifier():
                raise SpecError(f"tensor {self.name!r}: symbol {size!r} in {list(self.shape)} is not an identifier")
            if isinstance(size, int) and size < 1:
                raise SpecError(f"tensor {self.name!r}: size {size} in {list(self.shape)} is below 1")

    @cached_property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The dtype as numpy's, which compares much faster than its name."""
        return np.dtype(self.dtype)

    def bind(self, shape: Iterable[int], sizes: dict[str, int]) -> bool:
        """Match an actual shape and add the sizes of new symbols to `sizes`; False if it does not match."""
        actual = tuple(shape)
        if len(actual) != len(self.shape):
            return False
        for want, got in zip(self.shape, actual, strict=True):
            if isinstance(want, str):
                if sizes.setdefault(want, got) != got:
                    return False
            elif want != got:
                return False
        return True

    def sized(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The shape with every symbol replaced by its size."""
        return tuple(sizes[s] if isinstance(s, str) else s for s in self.shape)

    def nbytes(self, sizes: Mapping[str, int]) -> int:
        """Bytes of the tensor at the given symbol sizes."""
        count = 1
        for size in self.sized(sizes):
            count *= size
        return count * np.dtype(self.dtype).itemsize


class StageSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One graph of a model: its inputs and outputs."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise SpecError(f"stage name {self.name!r} is not an identifier")
        names = [t.name for t in (*self.inputs, *self.outputs)]
        if len(set(names)) != len(names):
            raise SpecError(f"stage {self.name!r}: tensor names repeat in {names}")
        bound = {s for t in self.inputs for s in t.shape if isinstance(s, str)}
        for tensor in self.outputs:
            free = [s for s in tensor.shape if isinstance(s, str) and s not in bound]
            if free:
                raise SpecError(f"stage {self.name!r}, output {tensor.name!r}: no input binds the symbol {free[0]!r}")

    def symbols(self) -> tuple[str, ...]:
        """The symbols of the inputs, in order of first appearance."""
        return tuple(dict.fromkeys(s for t in self.inputs for s in t.shape if isinstance(s, str)))

    @cached_property
    def input_names(self) -> frozenset[str]:
        """The names of the inputs."""
        return frozenset(t.name for t in self.inputs)

    def accepts(self, name: str) -> bool:
        """Whether the stage has an input of this name; some variants of a model leave inputs out."""
        return name in self.input_names

    def check(self, feeds: Mapping[str, Tensor]) -> dict[str, int]:
        """Check inputs against the declaration and return the size of each symbol.

        Raises SpecError naming stage and tensor, what was expected and what was given.
        """
        if feeds.keys() != self.input_names:
            missing = [t.name for t in self.inputs if t.name not in feeds]
            unknown = [name for name in feeds if not self.accepts(name)]
            raise SpecError(
                f"stage {self.name!r}: missing inputs: {missing or 'none'}; unexpected inputs: {unknown or 'none'}; "
                f"expected {[t.name for t in self.inputs]}"
            )
        sizes: dict[str, int] = {}
        for tensor in self.inputs:
            feed = feeds[tensor.name]
            if feed.dtype != tensor.numpy_dtype or not tensor.bind(feed.shape, sizes):
                raise SpecError(
                    f"stage {self.name!r}, input {tensor.name!r}: expected {tensor.dtype}{list(tensor.shape)}, "
                    f"got {feed.dtype}{list(feed.shape)} with {sizes}"
                )
        return sizes


class Preprocess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a frame becomes the input of the image encoder.

    The host resizes the frame to `height` x `side` pixels and passes uint8 RGB [1, height, side, 3]. Normalisation
    (mean and standard deviation of channel values in 0..1) and the change of layout are part of the image encoder's
    graph.

    side:   width of the model's input in pixels, and its height too unless `height` is given.
    resize: "stretch" fills the input. "longest_side" keeps the aspect ratio, with the frame at the top left of a
            square; the encoder then also takes `content_hw`, int64 [2], the height and width that the frame covers.
    prompt_side: edge of the square in whose pixels points are given and masks are cut out, if it is another one than
            the image's: EfficientViT-SAM sees images at 512 px and is prompted at 1024 px. Of "longest_side" alone.
    """

    side: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    resize: Literal["stretch", "longest_side"] = "stretch"
    height: int | None = None
    prompt_side: int | None = None

    def __post_init__(self) -> None:
        if self.resize == "longest_side" and self.height not in (None, self.side):
            raise SpecError(f"preprocess {self}: only a square input keeps the frame's aspect ratio")
        if self.resize == "stretch" and self.prompt_side is not None:
            raise SpecError(f'preprocess {self}: only with "longest_side" do prompts have a square of their own')

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the model's input, in pixels."""
        return (self.side if self.height is None else self.height), self.side

    @property
    def prompted(self) -> tuple[int, int]:
        """Height and width of the input that prompts and masks are of, in pixels."""
        return self.hw if self.prompt_side is None else (self.prompt_side, self.prompt_side)


class MemorySpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which frames a video model remembers and attends to (SAM 2: sam2_base.py 530-645).

    recent_frames:   number of unprompted frames attended to, newest first (num_maskmem - 1).
    prompted_frames: maximum number of prompted frames kept and attended to; beyond it the oldest is dropped.
    pointers:        object pointers reach back this number of frames minus one; their distance is normalised by it.
    min_effective_iou: an unprompted frame is kept as recent, for any length of time, if its effective IoU exceeds this
                     value; otherwise it is used on the next frame only (SAM 3: sam3_tracker_base.py 517, mf_threshold).
                     Effective IoU: the IoU that the decoder predicts times the probability that the object is visible,
                     0..1. None: every frame counts.
    """

    recent_frames: int
    prompted_frames: int
    pointers: int
    min_effective_iou: float | None = None

    def __post_init__(self) -> None:
        if self.recent_frames < 1 or self.prompted_frames < 1 or self.pointers < 2:
            raise SpecError(f"memory policy {self}: recent and prompted frames must be at least 1, pointers at least 2")


class PromptPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How prompts are passed to the decoder, and which of its masks is used.

    multimask_min_points, multimask_max_points: with a number of points in this range the best of three masks is used
                       instead of the single mask (sam2_base.py 881).
    stability_delta, stability_threshold: the best of three masks replaces the single mask if the area of the single
                       mask at logits above delta is less than this share of its area above -delta
                       (mask_decoder.py 149); a threshold of 0 always keeps the single mask.
    padded_boxes:      a padding point follows box corners, too (SAM 2); SAM (2023) pads clicks only.
    """

    multimask_min_points: int = 0
    multimask_max_points: int = 1
    multimask_when_tracking: bool = True
    stability_delta: float = 0.05
    stability_threshold: float = 0.98
    padded_boxes: bool = True

    def multimask(self, points: int, first_prompt: bool) -> bool:
        """Whether a decoder call with this number of points uses the best of three masks."""
        allowed = first_prompt or self.multimask_when_tracking
        return allowed and self.multimask_min_points <= points <= self.multimask_max_points


class ConceptPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How phrases and exemplars are passed to a concept detector (SAM 3).

    tokenizer:       the asset of the bundle that turns a phrase into `text_ids`, a file of the tokenizers library: it
                     adds start and end tokens, pads to the length of the text encoder and does not truncate.
    exemplar_phrase: the phrase used if only exemplars are given (sam3_image_processor.py 138).
    """

    tokenizer: str = "tokenizer.json"
    exemplar_phrase: str = "visual"


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model: family and variant, preprocessing, stages, and policies for prompts, memory and concepts.

    pipeline: "image" (prompts on single images) or "video" (masklets, and images as well).
    concepts: for models that find every instance of a phrase or an exemplar; None for models without such a detector.
    """

    family: str
    variant: str
    pipeline: Literal["image", "video"]
    preprocess: Preprocess
    stages: tuple[StageSpec, ...]
    prompting: PromptPolicy = PromptPolicy()
    memory: MemorySpec | None = None
    concepts: ConceptPolicy | None = None

    def __post_init__(self) -> None:
        if not f"{self.family}{self.variant}".isprintable():
            raise SpecError(f"model {self.family!r}/{self.variant!r}: family and variant must be printable")
        names = [s.name for s in self.stages]
        if len(set(names)) != len(names):
            raise SpecError(f"model {self.family}/{self.variant}: stage names repeat in {names}")
        if self.pipeline == "video" and self.memory is None:
            raise SpecError(f"model {self.family}/{self.variant}: a video pipeline needs a memory policy")
        if self.pipeline == "image" and self.memory is not None:
            raise SpecError(f"model {self.family}/{self.variant}: an image pipeline has no memory policy")
        self._check_shared_tensors()

    def _check_shared_tensors(self) -> None:
        seen: dict[str, tuple[str, TensorSpec]] = {}
        for stage in self.stages:
            for tensor in (*stage.inputs, *stage.outputs):
                first_stage, first = seen.setdefault(tensor.name, (stage.name, tensor))
                if first != tensor:
                    raise SpecError(
                        f"tensor {tensor.name!r} is {first.dtype}{list(first.shape)} in stage {first_stage!r} but "
                        f"{tensor.dtype}{list(tensor.shape)} in {stage.name!r}; shared tensors have one shape"
                    )

    @property
    def form(self) -> str:
        """What tells variants of one model apart: width and height of the frames, and `foveated` memories.

        `1024` of square frames, `1024x576` of others, `1024-foveated` where memories are sets of tokens.
        """
        height, width = self.preprocess.hw
        size = f"{width}" if width == height else f"{width}x{height}"
        return f"{size}-foveated" if self.token_memory else size

    @property
    def token_memory(self) -> bool:
        """Whether memories are sets of blocks of cells, `memory_place`, instead of one token for each cell."""
        return any(stage.accepts("memory_place") for stage in self.stages)

    @property
    def feature_hw(self) -> tuple[int, int]:
        """Rows and columns of the feature map that is attended and decoded, in cells."""
        shape = next(t.shape for t in self.stage("image_encoder").outputs if t.name == "vision_feat")
        return int(shape[2]), int(shape[3])

    def stage(self, name: str) -> StageSpec:
        """The stage of that name. Raises SpecError if the model has no such stage."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise SpecError(
            f"model {self.family}/{self.variant} has no stage {name!r}; it has {[s.name for s in self.stages]}"
        )
