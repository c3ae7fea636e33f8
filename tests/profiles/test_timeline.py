"""The recorder wraps what the pipeline has, and counts with the clock that it is given."""

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from masklet.profiles.recording.phases import (
    BANK,
    CAPTURE,
    POSTPROCESS,
    PREPROCESS,
    SINK,
    host_ns,
    order,
    spans,
    totals,
)
from masklet.profiles.recording.timeline import Call, FrameTimes, Recorder, ResidentMemory, peak_resident_bytes
from masklet.runtime.errors import MaskletError
from masklet.runtime.results import Frame, FrameResult
from recorded import MS, STAGES, Clock, Slow, frame, result, stage, times


class SlowSink:
    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.written: list[int] = []

    def write(self, frame: Frame, result: FrameResult) -> None:
        self.clock.pass_ms(5)
        self.written.append(frame.index)


def test_a_frame_is_recorded_from_the_question_to_the_sink() -> None:
    """One pass of the pipeline by hand, with a step that does 2 ms of its own before and 4 ms after a stage."""
    clock = Clock()
    recorder = Recorder(clock, rss=lambda: 7)
    inner = Slow(stage("memory_attention"), clock, 30)
    session, out = recorder.wrap(inner), SlowSink(clock)

    def source() -> Iterator[Frame]:
        for index in (3, 5):
            clock.pass_ms(1)
            yield frame(index)

    sink = recorder.sink(out)
    for given_frame in recorder.frames(source()):
        clock.pass_ms(2)
        outputs = session.run({"memory": np.ones((2, 7), np.float32)})
        assert (outputs["feat"] == 2).all()
        clock.pass_ms(4)
        sink.write(given_frame, result(given_frame.index))
        clock.pass_ms(100)  # between frames: nobody's
    first, second = recorder.frames_recorded
    call = Call("memory_attention", 3 * MS, 33 * MS, {"objects": 2, "memories": 7})
    assert first == FrameTimes(3, 0, 1 * MS, 37 * MS, 42 * MS, (call,), 2, 7)
    assert (second.index, second.asked_ns, second.capture_to_mask_ns, second.total_ns) == (
        5,
        142 * MS,
        37 * MS,
        42 * MS,
    )
    assert out.written == [3, 5]
    assert session.spec == inner.spec
    session.close()
    assert inner.closed


def test_a_frame_whose_result_comes_later_ends_without_one() -> None:
    """Results of the frame before: the first frame ends when the next is asked for, the last result is in none."""
    clock = Clock()
    recorder, out = Recorder(clock, rss=lambda: 7), SlowSink(clock)
    session, sink = recorder.wrap(Slow(stage("memory_attention"), clock, 30)), recorder.sink(out)
    waiting: list[Frame] = []
    session.run({"memory": np.ones((1, 1), np.float32)})  # before the first frame: in none
    for given_frame in recorder.frames(map(frame, (4, 6, 8))):
        clock.pass_ms(2)
        session.run({"memory": np.ones((len(waiting) + 1, 7), np.float32)})
        waiting.append(given_frame)
        if len(waiting) > 1:
            due = waiting.pop(0)
            sink.write(due, result(due.index, objects=3))
    sink.write(waiting[0], result(8, objects=3))
    found = recorder.frames_recorded
    assert out.written == [4, 6, 8]
    assert [(f.index, f.objects, len(f.calls), f.total_ns) for f in found] == [
        (4, 0, 1, 32 * MS),
        (6, 3, 1, 37 * MS),
        (8, 3, 1, 37 * MS),
    ]
    assert [f.calls[0].sizes["objects"] for f in found] == [1, 2, 2]


def test_phases_follow_from_the_gaps() -> None:
    assert totals(times(0)) == {
        CAPTURE: 1 * MS,
        PREPROCESS: 2 * MS,
        "image_encoder": 40 * MS,
        BANK: 9 * MS,
        "memory_attention": 30 * MS,
        "mask_decoder": 5 * MS,
        "memory_encoder": 4 * MS,
        POSTPROCESS: 4 * MS,
        SINK: 5 * MS,
    }
    assert host_ns(times(0)) == 15 * MS
    assert times(0).memories == 7


def test_a_frame_without_objects_runs_no_stage() -> None:
    bare = FrameTimes(0, 0, 2, 5, 9, (), 0, None)
    assert totals(bare) == {CAPTURE: 2, POSTPROCESS: 3, SINK: 4}
    assert bare.memories == 0


def test_phases_stand_where_a_frame_meets_them() -> None:
    assert order(STAGES) == [CAPTURE, PREPROCESS, "image_encoder", BANK, *STAGES[1:], POSTPROCESS, SINK]


@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=24), st.data())
def test_spans_cover_a_frame_without_gap_or_overlap(moments: list[int], data: st.DataObject) -> None:
    moments = sorted(moments[: len(moments) // 2 * 2])
    asked, captured, *between, masks, done = moments
    names = data.draw(st.lists(st.sampled_from(STAGES), min_size=len(between) // 2, max_size=len(between) // 2))
    calls = [Call(name, between[2 * i], between[2 * i + 1], {}) for i, name in enumerate(names)]
    frame_times = FrameTimes(0, asked, captured, masks, done, tuple(calls), 1, None)
    found = spans(frame_times)
    assert found[0].began_ns == asked
    assert found[-1].ended_ns == done
    assert all(a.ended_ns == b.began_ns for a, b in itertools.pairwise(found))
    assert sum(totals(frame_times).values()) == frame_times.total_ns


def test_times_out_of_order_are_refused() -> None:
    with pytest.raises(MaskletError, match="frame 4: its times are not in order"):
        FrameTimes(4, 0, 10, 30, 40, (Call("a", 12, 20, {}), Call("b", 15, 25, {})), 1, None)


def test_memory_is_read_from_the_system() -> None:
    now, peak = ResidentMemory()(), peak_resident_bytes()
    assert now is not None
    assert 1e7 < now <= peak + 1e7


def test_memory_is_read_now_and_then() -> None:
    """Frames of 20 ms: read after the first, and again when 50 ms have passed."""
    clock, readings = Clock(), iter(range(100))
    recorder = Recorder(clock, rss=lambda: next(readings))
    sink = recorder.sink(SlowSink(clock))
    for given_frame in recorder.frames(map(frame, range(6))):
        clock.pass_ms(15)
        sink.write(given_frame, result())
    assert [f.rss_bytes for f in recorder.frames_recorded] == [0, 0, 0, 1, 1, 1]
