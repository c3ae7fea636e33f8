"""Prompts refuse what makes no sense, combine as Meta's predictor combines them, and encode as it does."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import (
    MAX_OBJECT_ID,
    Box,
    Mask,
    Points,
    Prompt,
    ScheduledPrompt,
    check_prompt,
    encode_points,
    merge,
    schedule,
)

NAN = float("nan")


def points(xy: object, labels: object) -> Points:
    return Points(np.asarray(xy, np.float32), np.asarray(labels))


def mask(height: int, width: int) -> Mask:
    return Mask(np.ones((height, width), bool))


@pytest.mark.parametrize(
    ("xy", "labels", "message"),
    [
        ([[NAN, 1]], [1], "finite"),
        ([[np.inf, 1]], [1], "finite"),
        ([[1, 2, 3]], [1], r"\[N, 2\]"),
        ([1, 2], [1], r"\[N, 2\]"),
        (np.zeros((0, 2)), np.zeros(0), "N >= 1"),
        ([[1, 2]], [1, 0], "points need"),
        ([[1, 2]], [2], "label"),
        ([[1, 2]], [0.5], "label"),
    ],
)
def test_points_that_make_no_sense_are_refused(xy: object, labels: object, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        points(xy, labels)


@pytest.mark.parametrize(
    ("corners", "message"),
    [
        ((1, 1, 1, 5), "no area"),
        ((5, 1, 1, 5), "no area"),
        ((1, 5, 5, 1), "no area"),
        ((NAN, 1, 5, 5), "finite"),
        ((0, 0, np.inf, 5), "finite"),
    ],
)
def test_boxes_that_make_no_sense_are_refused(corners: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Box(*corners)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 6), bool), "none of its 6x4 pixels"),
        (np.ones((4, 6), np.uint8), r"bool\[H, W\], got uint8\[4, 6\]"),
        (np.ones((1, 4, 6), bool), r"bool\[H, W\]"),
    ],
)
def test_masks_that_make_no_sense_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        Mask(array)


@pytest.mark.parametrize(("object_id", "frame"), [(0, 0), (-1, 0), (MAX_OBJECT_ID + 1, 0), (1, -1)])
def test_ids_start_at_one_and_frames_at_zero(object_id: int, frame: int) -> None:
    with pytest.raises(PromptError):
        ScheduledPrompt(object_id, frame, Points.click(1, 1))


def test_a_prompt_does_not_change_with_the_array_it_was_made_from() -> None:
    given_mask = np.ones((2, 2), bool)
    prompt = Mask(given_mask)
    given_mask[:] = False
    assert prompt.mask.all()
    with pytest.raises(ValueError, match="read-only"):
        prompt.mask[0, 0] = False


def test_clicks_on_the_same_object_and_frame_keep_their_order() -> None:
    plan = schedule(
        [
            ScheduledPrompt(1, 5, Points.click(1, 2)),
            ScheduledPrompt(2, 0, Points.click(7, 8)),
            ScheduledPrompt(1, 5, Points.click(3, 4, positive=False)),
            ScheduledPrompt(1, 5, Box(0, 0, 9, 9)),
            ScheduledPrompt(1, 5, Points.click(5, 6)),
        ]
    )
    assert {frame: list(objects) for frame, objects in plan.items()} == {0: [2], 5: [1]}
    box = plan[5][1]
    assert isinstance(box, Box)
    assert box.points is not None
    assert box.points.xy.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert box.points.labels.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (mask(2, 2), Points.click(1, 1), "a mask cannot be combined"),
        (Box(0, 0, 1, 1), mask(2, 2), "a mask cannot be combined"),
        (mask(2, 2), mask(2, 2), "a mask cannot be combined"),
        (Box(0, 0, 1, 1), Box(0, 0, 2, 2), "one box"),
    ],
)
def test_what_does_not_combine_is_refused_with_object_and_frame(first: Prompt, second: Prompt, message: str) -> None:
    with pytest.raises(PromptError, match=f"object 3, frame 7: .*{message}"):
        schedule([ScheduledPrompt(3, 7, first), ScheduledPrompt(3, 7, second)])
    schedule([ScheduledPrompt(3, 7, first), ScheduledPrompt(3, 8, second), ScheduledPrompt(4, 7, second)])


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (Points.click(101, 5), "101,5 lies outside the frame of 100x50"),
        (Points.click(5, 50.5), "5,50.5 lies outside the frame of 100x50"),
        (Points.click(-0.5, 5), "outside the frame"),
        (Box(0, 0, 100.5, 50), "0,0,100.5,50 reaches beyond the frame of 100x50"),
        (Box(-1, 0, 10, 10), "reaches beyond"),
        (Box(0, 0, 9, 9, Points.click(200, 1)), "200,1 lies outside"),
        (mask(100, 50), "mask is 50x100 pixels, but the frame is 100x50"),
    ],
)
def test_prompts_beyond_the_frame_are_refused_with_both_sizes(prompt: Prompt, message: str) -> None:
    with pytest.raises(PromptError, match=message):
        check_prompt(prompt, (50, 100))


@pytest.mark.parametrize("prompt", [Points.click(0, 0), Points.click(100, 50), Box(0, 0, 100, 50), mask(50, 100)])
def test_prompts_up_to_the_edge_fit(prompt: Prompt) -> None:
    check_prompt(prompt, (50, 100))


def meta_encoding(
    xy: np.ndarray, labels: np.ndarray, box: tuple[float, ...] | None, source_hw: tuple[int, int], side: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """sam2_video_predictor.py 180-215 (add_new_points_or_box), then the padding of sam/prompt_encoder.py 83-87."""
    coords, kinds = torch.tensor(xy).reshape(-1, 2), torch.tensor(labels, dtype=torch.int32).reshape(-1)
    if box is not None:
        coords = torch.cat([torch.tensor(box, dtype=torch.float32).reshape(2, 2), coords])
        kinds = torch.cat([torch.tensor([2, 3], dtype=torch.int32), kinds])
    height, width = source_hw
    coords = coords / torch.tensor([width, height]) * side
    return torch.cat([coords, torch.zeros(1, 2)]), torch.cat([kinds, -torch.ones(1, dtype=torch.int32)])


coordinate = st.floats(0, 4000, width=32)
clicks = st.lists(st.tuples(coordinate, coordinate, st.sampled_from([0, 1])), min_size=1, max_size=5)
corners = st.tuples(coordinate, coordinate, st.floats(1, 500, width=32), st.floats(1, 500, width=32)).map(
    lambda c: (c[0], c[1], float(np.float32(c[0] + c[2])), float(np.float32(c[1] + c[3])))
)


@given(clicks, st.none() | corners, st.tuples(st.integers(1, 4000), st.integers(1, 4000)), st.sampled_from([512, 1024]))
def test_encoding_is_metas(
    drawn: list[tuple[float, float, int]], box: tuple[float, ...] | None, hw: tuple[int, int], side: int
) -> None:
    xy, labels = np.array([c[:2] for c in drawn], np.float32), np.array([c[2] for c in drawn])
    prompt: Points | Box = Points(xy, labels)
    if box is not None:
        prompt = Box(box[0], box[1], box[2], box[3], Points(xy, labels))
    coords, kinds = encode_points(prompt, hw, side)
    want_coords, want_kinds = meta_encoding(xy, labels, box, hw, side)
    assert coords.dtype == np.float32
    assert kinds.dtype == np.int64
    np.testing.assert_array_equal(coords, want_coords.numpy())
    np.testing.assert_array_equal(kinds, want_kinds.numpy())


def test_a_box_alone_is_two_corners_and_padding() -> None:
    coords, labels = encode_points(Box(10, 20, 30, 40), (100, 200), 1000)
    assert coords.tolist() == [[50, 200], [150, 400], [0, 0]]
    assert labels.tolist() == [2, 3, -1]


@given(st.permutations(["point", "negative", "box"]))
def test_any_order_of_merging_gives_the_same_kinds(order: list[str]) -> None:
    parts: dict[str, Prompt] = {
        "point": Points.click(1, 1),
        "negative": Points.click(2, 2, positive=False),
        "box": Box(0, 0, 9, 9),
    }
    merged = merge(merge(parts[order[0]], parts[order[1]]), parts[order[2]])
    assert isinstance(merged, Box)
    assert merged.points is not None
    assert sorted(merged.points.labels.tolist()) == [0, 1]
