"""Which objects are visible is noted frame by frame, and said when one is lost."""

import numpy as np
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.streams.sightings import LOST_AFTER, MOST_LINES, MOST_OBJECTS, Sightings

IMAGE = np.zeros((4, 4, 3), np.uint8)


def write(sightings: Sightings, index: int, **visible: bool) -> None:
    """A frame with objects o1, o2, ..., each visible or not."""
    ids = np.array([int(name[1:]) for name in visible], np.int64)
    masks = np.array([np.full((4, 4), shown) for shown in visible.values()], np.bool_).reshape(-1, 4, 4)
    boxes = np.array([[0, 0, 4, 4] if shown else [0, 0, 0, 0] for shown in visible.values()], np.float32).reshape(-1, 4)
    scores = np.ones(len(ids), np.float32)
    sightings.write(Frame(index, index / 10, IMAGE), FrameResult(index, index / 10, ids, masks, boxes, scores))


def test_an_object_that_was_lost_is_summed_up() -> None:
    told: list[tuple[str, str]] = []
    sightings = Sightings(lambda what, details: told.append((what, details)))
    for index in range(200):
        write(sightings, index, o1=True, o2=index < 19 or index == 20, o3=False)
    assert sightings.visible == 1
    assert sightings.lines() == [
        "object 2: seen in 20 of 200 frames, last at 20",
        "object 3: seen in none of 200 frames",
    ]
    assert told == [
        ("object-lost", "object 3: not seen yet"),
        ("object-lost", "object 2: not seen since frame 20"),
    ]


def test_an_object_that_comes_back_is_told_once() -> None:
    told: list[str] = []
    sightings = Sightings(lambda what, details: told.append(what))
    for index in range(2 * LOST_AFTER):
        write(sightings, index, o1=index == 0 or index > LOST_AFTER)
    assert told == ["object-lost", "object-found"]


def test_a_stream_without_an_end_keeps_a_bounded_number_of_objects() -> None:
    sightings = Sightings()
    for index in range(MOST_OBJECTS + 50):
        write(sightings, index, **{f"o{index + 1}": False})
    assert len(sightings.lines()) == MOST_LINES + 1
    assert sightings.lines()[-1] == f"{MOST_OBJECTS - MOST_LINES} more objects were not visible in every frame"
    assert sightings.lines()[0].startswith("object 51:")
