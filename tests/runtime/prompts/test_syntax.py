"""The prompt forms of the command line: a contract that users and scripts rely on."""

import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.runtime.errors import MaskletWarning, PromptError
from masklet.runtime.prompts.prompts import Box, Mask, Points, Schedule
from masklet.runtime.prompts.syntax import parse_prompts, parse_removals, read_mask
from PIL import Image


def parse(
    points: Sequence[str] = (), negatives: Sequence[str] = (), boxes: Sequence[str] = (), masks: Sequence[str] = ()
) -> Schedule:
    return parse_prompts(points=points, negatives=negatives, boxes=boxes, masks=masks)


@pytest.mark.parametrize(
    ("text", "object_id", "frame"),
    [
        ("10,20", 1, 0),
        (":10,20", 1, 0),
        ("3:10,20", 3, 0),
        ("@7:10,20", 1, 7),
        ("3@7:10,20", 3, 7),
        ("03@007: 10, 20 ", 3, 7),
    ],
)
def test_id_and_frame_have_defaults(text: str, object_id: int, frame: int) -> None:
    prompt = parse([text])[frame][object_id]
    assert isinstance(prompt, Points)
    assert prompt.xy.tolist() == [[10, 20]]
    assert prompt.labels.tolist() == [1]


number = st.floats(0, 1e4, width=32)
prefix = st.tuples(st.none() | st.integers(1, 2**31 - 1), st.none() | st.integers(0, 10**9))


def written(head: tuple[int | None, int | None], colon: bool, rest: str) -> str:
    object_id, frame = head
    mark = ("" if object_id is None else str(object_id)) + ("" if frame is None else f"@{frame}")
    return f"{mark}:{rest}" if mark or colon else rest


@given(prefix, st.booleans(), number, number, st.booleans())
def test_every_point_is_read_as_written(
    head: tuple[int | None, int | None], colon: bool, x: float, y: float, positive: bool
) -> None:
    text = written(head, colon, f"{x!r},{y!r}")
    plan = parse([text]) if positive else parse(negatives=[text])
    prompt = plan[head[1] or 0][head[0] or 1]
    assert isinstance(prompt, Points)
    assert prompt.xy.tolist() == [[x, y]]
    assert prompt.labels.tolist() == [int(positive)]


@given(prefix, st.booleans(), number, number, st.floats(1, 1e3), st.floats(1, 1e3))
def test_every_box_is_read_as_written(
    head: tuple[int | None, int | None], colon: bool, x: float, y: float, width: float, height: float
) -> None:
    text = written(head, colon, f"{x!r},{y!r},{x + width!r},{y + height!r}")
    prompt = parse(boxes=[text])[head[1] or 0][head[0] or 1]
    assert isinstance(prompt, Box)
    assert (prompt.x0, prompt.y0, prompt.x1, prompt.y1) == (x, y, x + width, y + height)


@given(st.text(max_size=30), st.sampled_from(["points", "negatives", "boxes"]))
def test_any_text_is_a_prompt_or_one_line(text: str, kind: str) -> None:
    with suppress(PromptError):
        parse(**{kind: [text]})


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("points", "", r"--point .*X,Y"),
        ("points", "10", r"X,Y"),
        ("points", "10,20,30", r"X,Y"),
        ("points", "a:10,20", r"X,Y"),
        ("points", "1@:10,20", r"X,Y"),
        ("points", "nan,20", r"--point nan,20: .*finite"),
        ("points", "1e400,20", "finite"),
        ("points", "0:10,20", "object id 0"),
        ("points", "9999999999:10,20", "object id 9999999999"),
        ("points", "-1:10,20", r"X,Y"),
        ("negatives", "1@-1:10,20", r"--negative .*X,Y"),
        ("boxes", "2:10,20,30", r"--box .*X0,Y0,X1,Y1"),
        ("boxes", "2:30,20,10,40", "--box 2:30,20,10,40: .*no area"),
    ],
)
def test_a_bad_form_is_one_line_with_option_and_value(kind: str, text: str, message: str) -> None:
    with pytest.raises(PromptError, match=message) as caught:
        parse(**{kind: [text]})
    assert "\n" not in str(caught.value)


def test_forms_of_one_object_and_frame_combine() -> None:
    prompt = parse(points=["2@3:1,2", "2@3:3,4"], negatives=["2@3:5,6"], boxes=["2@3:0,0,9,9"])[3][2]
    assert isinstance(prompt, Box)
    assert prompt.points is not None
    assert prompt.points.xy.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert prompt.points.labels.tolist() == [1, 1, 0]


IDS = np.array([[0, 1, 1], [0, 4, 4]], np.uint8)


def save(path: Path, mode: str) -> Path:
    if mode == "1":
        Image.fromarray(IDS > 0).save(path)
    elif mode == "16":
        Image.fromarray(IDS.astype(np.uint16) * 256).save(path)
    else:
        image = Image.fromarray(IDS)
        if mode == "P":
            image.putpalette([0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])  # object 1 is drawn in black
        image.save(path)
    return path


@pytest.mark.parametrize("mode", ["1", "L", "P", "16"])
def test_what_is_not_zero_in_a_mask_file_is_the_object(tmp_path: Path, mode: str) -> None:
    file = save(tmp_path / "mask.png", mode)
    prompt = parse(masks=[f"2@5:{file}"])[5][2]
    assert isinstance(prompt, Mask)
    np.testing.assert_array_equal(prompt.mask, IDS > 0)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_one_value_of_a_mask_file_can_be_chosen(tmp_path: Path, mode: str) -> None:
    file = save(tmp_path / "mask.png", mode)
    prompt = parse(masks=[f"{file}#4"])[0][1]
    assert isinstance(prompt, Mask)
    np.testing.assert_array_equal(prompt.mask, IDS == 4)
    with pytest.raises(PromptError, match=r"no pixel has the value 9; values are \[0, 1, 4\]"):
        parse(masks=[f"{file}#9"])


def test_a_file_name_may_look_like_a_choice(tmp_path: Path) -> None:
    file = tmp_path / "mask#4"
    Image.fromarray(IDS).save(file, "PNG")
    prompt = parse(masks=[f"{file}"])[0][1]
    assert isinstance(prompt, Mask)
    np.testing.assert_array_equal(prompt.mask, IDS > 0)


def test_a_file_of_several_objects_is_warned_of(tmp_path: Path) -> None:
    file = save(tmp_path / "mask.png", "P")
    with pytest.warns(MaskletWarning, match=r"mask\.png: has the values .*, all of which are one object here; .*#"):
        parse(masks=[str(file)])
    one = tmp_path / "one.png"
    Image.fromarray(np.where(IDS == 4, 255, 0).astype(np.uint8)).save(one)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        parse(masks=[f"{file}#4", f"2:{one}"])


def test_prompts_that_name_no_frame_are_for_the_first_that_is_run() -> None:
    found = parse_prompts(points=["10,20", "2@9:1,2"], negatives=[], boxes=[], masks=[], first=50)
    assert {frame: list(objects) for frame, objects in found.items()} == {9: [2], 50: [1]}


def test_bad_mask_files_are_one_line(tmp_path: Path) -> None:
    Image.fromarray(np.arange(4096, dtype=np.uint8).reshape(64, 64)).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) - 60])
    (tmp_path / "text.png").write_text("not a picture")
    Image.new("RGBA", (4, 4)).save(tmp_path / "rgba.png")
    Image.fromarray(IDS).save(tmp_path / "photo.jpg")
    Image.fromarray(IDS * 0).save(tmp_path / "empty.png")
    bad = {
        "missing.png": "no such mask file",
        "cut.png": "cannot be read",
        "text.png": "not a PNG",
        "rgba.png": "got mode RGBA",
        "photo.jpg": "not a PNG",
        "empty.png": "none of its 3x2 pixels is set",
    }
    for name, message in bad.items():
        with pytest.raises(PromptError, match=message) as caught:
            parse(masks=[str(tmp_path / name)])
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(PromptError, match="no such mask file"):
        read_mask(tmp_path)


def test_later_clicks_correct_and_boxes_begin_anew() -> None:
    plan = parse(points=["1:1,2", "2@5:3,4"], negatives=["1@9:5,6"], boxes=["1@12:0,0,9,9"])
    assert [plan[frame][1].corrects for frame in (0, 9, 12)] == [True, True, False]
    assert not plan[5][2].corrects


def test_removals_are_read() -> None:
    assert parse_removals(["2@30", "1@30", "7@4"]) == {30: [2, 1], 4: [7]}
    for wrong in ("2", "@3", "a@3", "2@-1", "2@3:1,1"):
        with pytest.raises(PromptError, match=rf"--remove {wrong}: expected ID@FRAME, such as 2@120"):
            parse_removals([wrong])
