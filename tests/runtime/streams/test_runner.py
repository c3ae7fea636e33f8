"""Several streams at once: in turn, apart in their faults, in order, and with counters that add up."""

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import cast

import pytest
from fake_feeds import FakeCamera, FakeTracker, ListSource, Step, frames, picture
from masklet.runtime.errors import PromptError, SinkError, SourceError
from masklet.runtime.prompts.prompt_book import PromptBook
from masklet.runtime.prompts.prompts import Points, Schedule
from masklet.runtime.results import Frame, FrameResult
from masklet.runtime.sinks.sink import Sinks
from masklet.runtime.sources.source import Source
from masklet.runtime.streams.frame_queue import Policy
from masklet.runtime.streams.runner import Runner
from masklet.runtime.streams.state import load_state
from masklet.runtime.streams.stream import Keeping, Stream
from masklet.runtime.streams.wake_up import WakeUp
from masklet.runtime.tracking.video_tracker import VideoTracker

CLICK = Points.click(1, 1)


class Noted:
    """A sink that notes the frames that it is given, and can fail, or wait for a gate."""

    def __init__(self, fails_at: int | None = None, gate: threading.Event | None = None) -> None:
        self.frames: list[int] = []
        self.closed = False
        self._fails_at, self._gate = fails_at, gate

    def write(self, frame: Frame, result: FrameResult) -> None:
        assert frame.index == result.frame_index
        if self._gate is not None:
            assert self._gate.wait(10)
        if frame.index == self._fails_at:
            raise SinkError("disk full")
        self.frames.append(frame.index)

    def close(self) -> None:
        self.closed = True


def stream(
    source: Source,
    tracker: FakeTracker,
    sink: Noted,
    wake_up: WakeUp,
    policy: Policy = Policy.EVERY,
    schedule: Schedule | None = None,
    keeping: Keeping | None = None,
) -> Stream:
    prompts = PromptBook(schedule or {}, exact=policy is Policy.EVERY)
    return Stream(1, source, cast(VideoTracker, tracker), prompts, Sinks([sink]), policy, wake_up, keeping=keeping)


def run(streams: Sequence[Stream], wake_up: WakeUp) -> None:
    runner = Runner(streams, wake_up)
    runner.start()
    runner.wait(30)
    assert not runner.running
    for each in streams:
        counts = each.counts
        assert counts.captured == counts.processed + counts.dropped + counts.corrupt
        assert counts.in_flight == 0


def test_every_frame_of_a_file_is_run_and_written_in_order() -> None:
    wake_up, tracker, sink = WakeUp(), FakeTracker(), Noted()
    one = stream(ListSource("clip", frames(50)), tracker, sink, wake_up)
    run([one], wake_up)
    assert one.error is None
    assert sink.frames == [index for _, index in tracker.seen] == list(range(50))
    assert one.counts.processed == 50
    assert sink.closed


def test_streams_that_have_frames_take_turns() -> None:
    class AlwaysReady:
        ready, error = True, None

        def __init__(self, name: str, count: int) -> None:
            self._name, self._left = name, count

        def advance(self) -> None:
            self._left -= 1
            turns.append(self._name)

        @property
        def over(self) -> bool:
            return not self._left

        def start(self) -> None: ...

        def finish(self, *, stopped: bool) -> None: ...

    turns: list[str] = []
    runner = Runner([cast(Stream, AlwaysReady(*each)) for each in (("a", 3), ("b", 5), ("c", 4))], WakeUp())
    runner.start()
    runner.wait(10)
    assert "".join(turns) == "abc" * 3 + "bc" + "b"


def test_streams_do_not_mix_their_frames() -> None:
    wake_up = WakeUp()
    sinks = [Noted() for _ in range(3)]
    streams = [stream(ListSource(str(n), frames(20 + n)), FakeTracker(), sinks[n], wake_up) for n in range(3)]
    run(streams, wake_up)
    assert [sink.frames for sink in sinks] == [list(range(20 + n)) for n in range(3)]


@pytest.mark.parametrize("where", ["source", "tracker", "sink"])
def test_one_streams_fault_does_not_stop_the_others(where: str) -> None:
    wake_up, good, bad = WakeUp(), Noted(), Noted(fails_at=7 if where == "sink" else None)
    items: list[Frame | Exception] = [*frames(30)]
    if where == "source":
        items[7] = SourceError("bad: torn off")
    faulty = stream(
        ListSource("bad", items), FakeTracker("bad", fails_at=7 if where == "tracker" else None), bad, wake_up
    )
    sound = stream(ListSource("good", frames(30)), FakeTracker("good"), good, wake_up)
    run([faulty, sound], wake_up)
    assert faulty.error is not None
    assert sound.error is None
    assert good.frames == list(range(30))
    assert bad.frames == list(range(7)), "what came before the fault is written"
    assert good.closed
    assert bad.closed


def test_a_slow_sink_holds_back_its_own_stream_alone() -> None:
    wake_up, gate, quick = WakeUp(), threading.Event(), Noted()
    held = stream(ListSource("held", frames(30)), FakeTracker(), Noted(gate=gate), wake_up)
    free = stream(ListSource("free", frames(30)), FakeTracker(), quick, wake_up)
    runner = Runner([held, free], wake_up)
    runner.start()
    for _ in range(1000):
        if len(quick.frames) == 30:
            break
        runner.wait(0.01)
    assert quick.frames == list(range(30))
    assert held.counts.processed == 0
    gate.set()
    runner.wait(30)
    assert held.counts.processed == 30


def test_an_interrupted_wait_does_not_take_the_runner_for_ended() -> None:
    """A real signal, and so in a process of its own."""
    paths = [str(Path(__file__).parent), str(Path(__file__).parents[2])]
    code = f"import sys; sys.path[:0] = {paths}; import test_runner; test_runner.interrupted_wait()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def interrupted_wait() -> None:
    """Interrupt a wait: the runner goes on, and a later wait sees its end."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    wake_up, gate = WakeUp(), threading.Event()
    sink = Noted(gate=gate)
    one = stream(ListSource("held", frames(3)), FakeTracker(), sink, wake_up)
    runner = Runner([one], wake_up)
    runner.start()
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            runner.wait(30)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert runner.running
    gate.set()
    runner.wait(30)
    assert not runner.running
    assert sink.frames == [0, 1, 2]


@pytest.mark.parametrize("policy", Policy)
def test_stopping_writes_what_was_run_and_drops_the_rest(policy: Policy) -> None:
    class Endless(ListSource):
        def __iter__(self):  # type: ignore[no-untyped-def]
            index = 0
            while True:
                yield Frame(index, index / 10, frames(1)[0].image)
                index += 1

    wake_up, tracker, sink = WakeUp(), FakeTracker(), Noted()
    one = stream(Endless("endless", frames(1), finite=False), tracker, sink, wake_up, policy)
    runner = Runner([one], wake_up)
    runner.start()
    while one.counts.processed < 20:
        runner.wait(0.001)
    runner.stop()
    runner.wait(30)
    assert not runner.running
    assert one.error is None
    assert sink.frames == [index for _, index in tracker.seen]
    counts = one.counts
    assert counts.captured == counts.processed + counts.dropped
    assert counts.processed == len(sink.frames)


def test_reconnects_corrupt_and_dropped_frames_add_up() -> None:
    steps: list[Step] = [None if n % 7 == 3 else picture(n % 256) for n in range(100)]
    camera = FakeCamera(steps, steps, SourceError("refused"), steps)
    wake_up, tracker, sink = WakeUp(), FakeTracker(), Noted()
    one = stream(camera.open(), tracker, sink, wake_up, Policy.NEWEST)
    run([one], wake_up)
    counts = one.counts
    assert (counts.captured, counts.corrupt, counts.reconnects) == (300, 3 * 14, 2)
    assert sink.frames == sorted(set(sink.frames))


def test_a_prompt_of_a_file_is_given_on_its_very_frame() -> None:
    wake_up, tracker = WakeUp(), FakeTracker()
    one = stream(ListSource("clip", frames(5)), tracker, Noted(), wake_up, schedule={0: {1: CLICK}, 3: {2: CLICK}})
    run([one], wake_up)
    assert {frame: list(prompts) for frame, prompts in tracker.prompts.items()} == {0: [1], 3: [2]}


def test_a_prompt_of_a_file_whose_frame_did_not_come_is_an_error() -> None:
    wake_up = WakeUp()
    one = stream(ListSource("clip", frames(5)), FakeTracker(), Noted(), wake_up, schedule={9: {1: CLICK}})
    run([one], wake_up)
    assert isinstance(one.error, PromptError)


def test_a_prompt_of_a_camera_waits_for_the_next_frame_that_is_run() -> None:
    book = PromptBook({0: {1: CLICK}, 4: {2: CLICK}, 5: {2: CLICK, 3: CLICK}}, exact=False, given=[(0, 1)])
    assert book.due(3) == {}
    assert list(book.due(6)) == [2, 3]
    assert book.given == [(0, 1), (4, 2), (5, 2), (5, 3)]
    book.check_used()


@pytest.mark.parametrize(("fails_at", "last"), [(None, 29), (12, 11)])
def test_the_state_is_that_of_the_last_frame_that_was_written(tmp_path: Path, fails_at: int | None, last: int) -> None:
    wake_up, path = WakeUp(), tmp_path / "state"
    keeping, sink = Keeping(path, 0.0, "bundle", "clip"), Noted(fails_at=fails_at)
    one = stream(
        ListSource("clip", frames(30)), FakeTracker(), sink, wake_up, schedule={3: {1: CLICK}}, keeping=keeping
    )
    run([one], wake_up)
    state = load_state(path, "bundle", "clip", "sam2", print)
    assert state is not None
    assert state.frame_index == sink.frames[-1] == last
    assert state.tracker.time == last
    assert state.given == [(3, 1)]


def test_a_state_that_cannot_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    wake_up, told, sink = WakeUp(), list[str](), Noted()
    source = ListSource("clip", frames(10))
    source.tell = lambda what, detail: told.append(what)
    keeping = Keeping(tmp_path / "gone" / "state", 0.0, "bundle", "clip")
    one = stream(source, FakeTracker(), sink, wake_up, keeping=keeping)
    run([one], wake_up)
    assert one.error is None
    assert sink.frames == list(range(10))
    assert set(told) == {"unsaved"}
