"""Stage declarations check themselves, and check what is fed."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.bundle.spec import MemorySpec, ModelSpec, Preprocess, PromptPolicy, StageSpec, Tensor, TensorSpec
from masklet.runtime.errors import SpecError

DECODER = StageSpec(
    "mask_decoder",
    (TensorSpec("coords", ("objects", "points", 2)), TensorSpec("labels", ("objects", "points"), "int64")),
    (TensorSpec("mask", ("objects", 1, 8, 8)),),
)
PREPROCESS = Preprocess(8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@given(objects=st.integers(1, 5), points=st.integers(1, 5))
def test_feeds_bind_symbols_and_outputs_follow(objects: int, points: int) -> None:
    feeds: dict[str, Tensor] = {
        "coords": np.zeros((objects, points, 2), np.float32),
        "labels": np.zeros((objects, points), np.int64),
    }
    sizes = DECODER.check(feeds)
    assert sizes == {"objects": objects, "points": points}
    assert DECODER.outputs[0].sized(sizes) == (objects, 1, 8, 8)
    assert DECODER.outputs[0].nbytes(sizes) == objects * 64 * 4


@pytest.mark.parametrize(
    ("coords", "labels", "message"),
    [
        (
            np.zeros((1, 2, 3), np.float32),
            np.zeros((1, 2), np.int64),
            r"'coords': expected float32\['objects'",
        ),
        (np.zeros((1, 2, 2), np.float64), np.zeros((1, 2), np.int64), "got float64"),
        (
            np.zeros((1, 2, 2), np.float32),
            np.zeros((2, 2), np.int64),
            r"got int64\[2, 2\] with {'objects': 1",
        ),
        (np.zeros((1, 2, 2), np.float32), np.zeros(2, np.int64), r"got int64\[2\]"),
    ],
)
def test_a_feed_that_does_not_match_is_named(coords: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        DECODER.check({"coords": coords, "labels": labels})


def test_missing_and_unknown_feeds_are_named() -> None:
    with pytest.raises(SpecError, match=r"missing inputs: \['labels'\]; unexpected inputs: \['boxes'\]"):
        DECODER.check({"coords": np.zeros((1, 1, 2), np.float32), "boxes": np.zeros(4, np.float32)})


def test_an_output_symbol_must_be_bound() -> None:
    with pytest.raises(SpecError, match="no input binds the symbol 'tokens'"):
        StageSpec("s", (TensorSpec("x", (1,)),), (TensorSpec("y", ("tokens",)),))


@pytest.mark.parametrize(
    ("name", "shape", "dtype"),
    [("not a name", (1,), "float32"), ("x", (0,), "float32"), ("x", (1,), "float128")],
)
def test_a_tensor_that_cannot_be_is_refused(name: str, shape: tuple[int], dtype: str) -> None:
    with pytest.raises(SpecError):
        TensorSpec(name, shape, dtype)


def test_a_tensor_has_one_shape_in_all_stages() -> None:
    first = StageSpec("a", (TensorSpec("x", (1,)),), (TensorSpec("feat", (1, 4)),))
    second = StageSpec("b", (TensorSpec("feat", (1, 8)),), (TensorSpec("y", (1,)),))
    with pytest.raises(SpecError, match=r"'feat' is float32\[1, 4\] in stage 'a' but float32\[1, 8\] in 'b'"):
        ModelSpec("toy", "one", "image", PREPROCESS, (first, second))


def test_a_video_model_needs_a_memory() -> None:
    with pytest.raises(SpecError, match="needs a memory policy"):
        ModelSpec("toy", "one", "video", PREPROCESS, ())
    with pytest.raises(SpecError, match="must be at least 1"):
        MemorySpec(recent_frames=0, prompted_frames=1, pointers=16)


def test_an_unknown_stage_names_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"no stage 'text_encoder'; it has \['mask_decoder'\]"):
        ModelSpec("toy", "one", "image", PREPROCESS, (DECODER,)).stage("text_encoder")


@pytest.mark.parametrize(
    ("points", "first", "policy", "multimask"),
    [
        (0, False, PromptPolicy(), True),  # tracking frames
        (1, True, PromptPolicy(), True),  # one click
        (2, True, PromptPolicy(), False),  # a box, or two clicks
        (1, False, PromptPolicy(multimask_when_tracking=False), False),
        (1, True, PromptPolicy(multimask_when_tracking=False), True),
        (0, True, PromptPolicy(multimask_min_points=1), False),
    ],
)
def test_few_points_ask_for_the_best_of_three(points: int, first: bool, policy: PromptPolicy, multimask: bool) -> None:
    assert policy.multimask(points, first) is multimask


def test_what_is_looked_up_once_is_no_part_of_a_declaration() -> None:
    used = msgspec.convert(msgspec.to_builtins(DECODER), StageSpec)
    assert used.input_names == {"coords", "labels"}
    assert used.inputs[0].numpy_dtype == np.float32
    assert used == DECODER
    assert hash(used) == hash(DECODER)
    assert msgspec.json.encode(used) == msgspec.json.encode(DECODER)


def test_prompts_have_a_square_of_their_own_only_where_the_image_is_fitted() -> None:
    half = (0.5, 0.5, 0.5)
    assert Preprocess(8, half, half, "longest_side", prompt_side=16).prompted == (16, 16)
    assert PREPROCESS.prompted == (8, 8)
    with pytest.raises(SpecError, match="do prompts have a square of their own"):
        Preprocess(8, half, half, prompt_side=16)
