"""Prompts files: what is written is read again, and what is wrong is named."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompt_file import PromptFile, read_prompt_file
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.prompts.prompts import Box, Mask, Points, Prompt
from masklet.runtime.prompts.syntax import parse_prompts

DISC = np.hypot(*np.mgrid[-5:5, -7:7]) < 4
PROMPTS: list[tuple[int, int, Prompt]] = [
    (0, 1, Points(np.array([[3.5, 4], [9, 1]], np.float32), np.array([1, 0]))),
    (0, 2, Mask(DISC)),
    (7, 1, Box(1.0, 2.0, 9.0, 8.0, Points.click(4, 4), corrects=True)),
    (9, 2, Points.click(2, 2, positive=False)),
]


def same(first: Prompt, second: Prompt) -> bool:
    if isinstance(first, Mask) and isinstance(second, Mask):
        return np.array_equal(first.mask, second.mask) and first.corrects == second.corrects
    return msgspec.json.encode(PromptRecord.of(0, 1, first)) == msgspec.json.encode(PromptRecord.of(0, 1, second))


def test_prompts_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    records = [PromptRecord.of(*each) for each in PROMPTS]
    path.write_bytes(PromptFile(source="clip.mp4", size=(14, 10), names={1: "cup"}, prompts=records).encode())
    found = read_prompt_file(path)
    assert (found.source, found.size, found.names) == ("clip.mp4", (14, 10), {1: "cup"})
    plan = found.schedule()
    assert sorted((f, i) for f, objects in plan.items() for i in objects) == sorted((f, i) for f, i, _ in PROMPTS)
    assert all(same(plan[frame][object_id], prompt) for frame, object_id, prompt in PROMPTS)
    assert plan[7][1].corrects
    assert not plan[0][1].corrects


def test_the_option_combines_with_typed_prompts(tmp_path: Path) -> None:
    path = tmp_path / "prompts.json"
    path.write_bytes(PromptFile(prompts=[PromptRecord(frame=0, object=1, points=[(3, 4)])]).encode())
    plan = parse_prompts(points=["1:5,6", "2@4:1,1"], negatives=(), boxes=(), masks=(), files=[str(path)])
    merged = plan[0][1]
    assert isinstance(merged, Points)
    assert merged.xy.tolist() == [[3, 4], [5, 6]]
    assert list(plan) == [0, 4]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no prompts file"),
        ("{", "no prompts file"),
        ("[" * 100_000, "no prompts file"),
        ("{}", "wanted 'masklet prompts 1'"),
        ('{"format": "masklet prompts 2"}', "wanted 'masklet prompts 1'"),
        ('{"format": "masklet prompts 1", "prompts": [{"frame": "x", "object": 1}]}', "prompts[0].frame"),
        ('{"format": "masklet prompts 1", "prompts": [{"frame": 1, "object": 1, "pionts": []}]}', "pionts"),
        ('{"format": "masklet prompts 1", "prompts": [{"frame": 3, "object": 2}]}', "object 2, frame 3: nothing"),
        ('{"format": "masklet prompts 1", "prompts": [{"frame": -3, "object": 2, "points": [[1, 2]]}]}', "below 0"),
        (
            '{"format": "masklet prompts 1", "prompts": [{"frame": 3, "object": 2, "points": [[1, 2]], '
            '"labels": [1, 0]}]}',
            "object 2, frame 3: points",
        ),
        (
            '{"format": "masklet prompts 1", "prompts": [{"frame": 3, "object": 2, "mask": {"size": [9, 9], '
            '"counts": "~~"}}]}',
            "object 2, frame 3: mask",
        ),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(PromptError) as error:
        parse_prompts(points=(), negatives=(), boxes=(), masks=(), files=[str(path)])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"none\.json: cannot be read: No such file"):
        read_prompt_file(tmp_path / "none.json")
