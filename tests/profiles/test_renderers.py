"""The report as a trace, as a page and in the terminal."""

import io
import itertools
import json
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from masklet.profiles.model.growth import Growth, Point
from masklet.profiles.recording.phases import order
from masklet.profiles.recording.timeline import Recorder
from masklet.profiles.report.page import page
from masklet.profiles.report.svg import Axis, Chart, spread
from masklet.profiles.report.terminal import bar, show, stage_tree
from masklet.profiles.report.trace import _slice, trace
from recorded import STAGES, report, times
from rich.console import Console

FRAMES = [times(n, (40 + n, 30, 5, 4), objects=1 + n // 4, memories=1 + n // 2) for n in range(8)]
GROWTH = Growth(
    tuple(Point(n, m, 3, 10.0 * n * m, 2.0, {"mask_decoder": 4.0}) for n in (1, 2) for m in (1, 7)), 1.0, 70.0, 20.0
)


def events() -> list[dict[str, Any]]:
    return list(json.loads(trace(FRAMES, STAGES, 2, "masklet"))["traceEvents"])


def test_every_event_of_a_trace_has_what_the_format_asks_for() -> None:
    for event in events():
        assert event["ph"] in {"X", "C", "M"}
        assert isinstance(event["name"], str)
        assert all(isinstance(event[key], int) for key in ("pid", "tid"))
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())


def test_a_trace_has_a_track_for_each_part() -> None:
    names = {e["tid"]: e["args"]["name"] for e in events() if e["name"] == "thread_name"}
    assert list(names.values()) == ["frames", *order(STAGES)]
    for event in events():
        if event["ph"] == "X" and names[event["tid"]] != "frames":
            assert event["name"] == names[event["tid"]]


def test_slices_of_a_track_nest() -> None:
    """Two slices of one track are apart or one within the other: otherwise a viewer draws nonsense."""
    slices = [e for e in events() if e["ph"] == "X"]
    for tid in {e["tid"] for e in slices}:
        stack: list[float] = []
        for event in sorted((e for e in slices if e["tid"] == tid), key=lambda e: (e["ts"], -e["dur"])):
            while stack and stack[-1] <= event["ts"] + 1e-6:
                stack.pop()
            assert not stack or event["ts"] + event["dur"] <= stack[-1] + 1e-6
            stack.append(event["ts"] + event["dur"])


def test_a_trace_counts_and_tells_the_warm_up() -> None:
    found = events()
    counters = [e for e in found if e["ph"] == "C"]
    assert {e["name"] for e in counters} == {"objects", "memory frames", "RSS"}
    assert [e["args"]["count"] for e in counters if e["name"] == "memory frames"] == [1, 1, 2, 2, 3, 3, 4, 4]
    assert [e["name"] for e in found if e["name"].startswith("frame ")][:3] == [
        "frame 0 (warm-up)",
        "frame 1 (warm-up)",
        "frame 2",
    ]
    encoder = next(e for e in found if e["name"] == "image_encoder")
    assert (encoder["ts"], encoder["dur"]) == (3_000, 40_000)


class Tags(HTMLParser):
    """What a page loads, and whether every tag that is opened is closed."""

    VOID = frozenset(("meta", "link", "img", "br", "input", "hr"))

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.loads += [value or "" for name, value in attributes if name in ("src", "href", "data", "action")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("growth", [None, GROWTH])
@pytest.mark.parametrize("peaks", [True, False])
def test_a_page_needs_nothing_else(growth: Growth | None, peaks: bool) -> None:
    text = page(report(FRAMES, growth, peaks=peaks))
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert tags.loads == []
    assert not re.search(r"https?:|url\(|@import|<script|<link|<iframe", text)
    assert tags.seen.count("svg") == 6 + peaks
    assert "a &lt;checkpoint&gt;" in text
    assert "nan" not in text.lower().replace("nano", "")


def test_a_page_of_one_frame_and_of_very_many() -> None:
    assert "<svg" in page(report(FRAMES[:1]))
    many = page(report([times(n) for n in range(3000)]))
    assert len(many) < 600_000


def printed(growth: Growth | None = None) -> str:
    out = io.StringIO()
    show(report(FRAMES, growth), Console(file=out, width=130))
    return out.getvalue()


def test_the_terminal_shows_a_tree_with_every_part() -> None:
    text = printed(GROWTH)
    for name in order(STAGES):
        assert re.search(rf"[├└]─ {name} +\d+\.\d%", text), name
    assert "8 frames measured after 2 of warm-up" in text
    assert "Roofline: 100 GFLOP/s, 10.0 GB/s" in text
    assert "+70.0 ms per object, +20.0 ms per memory frame" in text
    assert "Some GPU, driver 550" in text
    assert "power mode 15W" in text
    assert "busy" not in text


def test_a_tree_of_what_a_recorder_recorded() -> None:
    recorder = Recorder()
    recorder.frames_recorded.extend(FRAMES)
    out = io.StringIO()
    Console(file=out, width=130).print(stage_tree(recorder, STAGES, warmup=7))
    assert re.search(r"image_encoder .* 47\.00 +47\.00 +47\.00 +47\.00 +47\.00 +1", out.getvalue())


@pytest.mark.parametrize(("share", "drawn"), [(0, ""), (1, "█" * 20), (0.5, "█" * 10), (2, "█" * 20), (1 / 160, "▏")])
def test_bars(share: float, drawn: str) -> None:
    assert bar(share) == drawn


def test_axes_have_round_ticks_within_their_range() -> None:
    assert Axis(0, 103, "ms").ticks() == [0, 20, 40, 60, 80, 100]
    assert Axis(2.5, 900, "x", log=True).ticks() == [10, 100]
    assert Axis(2.5, 90, "x", log=True).ticks() == [5, 10, 20, 50]
    with pytest.raises(ValueError, match="is empty"):
        Axis(1, 1, "x")
    assert Axis(0, 3, "frames", whole=True).ticks() == [0, 1, 2, 3]
    assert spread([5, 5]) == (4.7, 5.3)


def test_labels_do_not_cover_one_another() -> None:
    chart = Chart(Axis(0, 1, "x"), Axis(0, 1, "y"))
    chart.labels([(0.5, 0.5, "a"), (0.5, 0.501, "b"), (0.5, 0.502, "c")])
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)"', "".join(chart.marks)))
    assert all(b - a >= 11.9 for a, b in itertools.pairwise(heights))


def test_a_span_ends_no_later_than_the_next_begins() -> None:
    """In the sums that viewers make of a trace's numbers: a rounding beyond would nest frames into each other."""
    times = np.cumsum(np.random.default_rng(0).integers(1, 40_000_000, 2000)).tolist()
    spans = [_slice("span", began, ended, 1, 0, {}) for began, ended in itertools.pairwise(times)]
    assert all(one["ts"] + one["dur"] <= following["ts"] for one, following in itertools.pairwise(spans))
