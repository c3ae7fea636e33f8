"""A camera that comes and goes: what is delivered, counted and said, by a clock that nobody waits for."""

import numpy as np
import pytest
from fake_feeds import FakeCamera, picture
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.live import LostError
from masklet.runtime.sources.source import Cut


def shades(frames: list[Frame]) -> list[tuple[int, int]]:
    return [(frame.index, int(frame.image[0, 0, 0])) for frame in frames]


def test_frames_are_numbered_and_timed_from_the_first() -> None:
    delivered = list(FakeCamera([picture(n) for n in range(4)]).open())
    assert shades(delivered) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [f.time_s for f in delivered] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_the_devices_own_clock_is_kept_and_a_loss_bridged_by_ours() -> None:
    camera = FakeCamera([picture(time_s=7.0), picture(time_s=7.5)], [picture(time_s=0.0), picture(time_s=0.04)])
    times = [f.time_s for f in camera.open()]
    lost_for = camera.clock.waits[0] + 0.1 + 0.1 + 0.1  # the reads: the second picture, the loss, the third
    assert times == pytest.approx([0, 0.5, lost_for, lost_for + 0.04])


@pytest.mark.parametrize("own_clock", [True, False])
def test_a_backend_that_loads_after_the_source_was_opened_does_not_delay_its_times(own_clock: bool) -> None:
    camera = FakeCamera([picture(time_s=7 + n / 10 if own_clock else None) for n in range(3)])
    source = camera.open()
    source.go_on(40, 12.0)
    camera.clock.now_s += 5
    times = [frame.time_s for frame in source]
    assert times == pytest.approx([12, 12.1, 12.2] if own_clock else [12, 17.1, 17.2])


def test_time_never_runs_backwards() -> None:
    camera = FakeCamera([picture(time_s=t) for t in (5.0, 5.2, 4.0, 5.3)])
    assert [f.time_s for f in camera.open()] == pytest.approx([0, 0.2, 0.2, 0.3])


def test_corrupt_frames_are_counted_and_keep_their_numbers() -> None:
    source = FakeCamera([None, picture(1), None, None, picture(4)]).open()
    assert shades(list(source)) == [(1, 1), (4, 4)]
    assert source.corrupt == 3


def test_back_off_doubles_to_its_limit_and_begins_anew_with_a_frame() -> None:
    refused = [LostError("camera: refused")] * 7
    camera = FakeCamera([picture(0)], *refused, [picture(1)], [picture(2)])
    source = camera.open()
    assert shades(list(source)) == [(0, 0), (1, 1), (2, 2)]
    assert camera.clock.waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5, 0.5]
    assert source.reconnects == 2
    assert all(device.closed for device in camera.devices)
    assert [what for what, _ in camera.told] == ["lost"] * 8 + ["reconnected", "lost", "reconnected", "lost"]
    assert "refused; the next try is in 30 s" in camera.told[7][1]


def test_it_counts_as_reconnected_once_a_frame_comes() -> None:
    """A pipeline reports only while it is read that its server cannot be reached."""
    camera = FakeCamera([picture(0)], [LostError("camera: refused")], [LostError("camera: refused")], [picture(1)])
    source = camera.open()
    assert shades(list(source)) == [(0, 0), (1, 1)]
    assert source.reconnects == 1
    assert [what for what, _ in camera.told] == ["lost"] * 3 + ["reconnected", "lost"]
    assert camera.told[3][1] == "after 3.9 s without a frame"  # pauses of 0.5, 1 and 2 s, and the four reads


def test_a_camera_that_cannot_be_opened_is_refused_at_once() -> None:
    with pytest.raises(SourceError, match="no such camera"):
        FakeCamera(SourceError("camera: no such camera")).open()


def test_a_camera_of_corrupt_frames_alone_is_refused_and_closed() -> None:
    camera = FakeCamera([None] * 1000)
    with pytest.raises(SourceError, match="none of its first 100 frames can be decoded"):
        camera.open()
    assert camera.devices[0].closed


def test_another_resolution_is_scaled_to_the_first() -> None:
    camera = FakeCamera([picture(9), picture(9, width=16, height=12), picture(9)])
    delivered = list(camera.open())
    assert {f.hw for f in delivered} == {(6, 8)}
    assert all((f.image == 9).all() for f in delivered)
    assert ("resized", "it sends 16x12 now; frames are scaled to 8x6") in camera.told


def test_another_aspect_ratio_is_refused() -> None:
    source = FakeCamera([picture(), picture(width=6, height=8)]).open()
    with pytest.raises(SourceError, match="sent 8x6 pixels and now sends 6x8, another aspect ratio"):
        list(source)


def test_a_cut_picks_frames_of_a_feed() -> None:
    camera = FakeCamera([picture(n) for n in range(50)])
    source = camera.open(Cut(start=2, end=9, stride=3, max_side=4))
    delivered = list(source)
    assert shades(delivered) == [(2, 2), (5, 5), (8, 8)]
    assert delivered[0].hw == (3, 4) == source.size[::-1]
    assert camera.devices[0].closed


def test_a_feed_goes_on_numbering_after_a_restart() -> None:
    source = FakeCamera([picture(), picture()]).open()
    source.go_on(41, 12.0)
    delivered = list(source)
    assert [f.index for f in delivered] == [41, 42]
    assert [f.time_s for f in delivered] == pytest.approx([12.0, 12.1])


def test_a_feed_is_not_read_backwards() -> None:
    with pytest.raises(SourceError, match="cannot be read backwards"):
        FakeCamera([picture()]).open(Cut(reverse=True))


def test_closing_before_reading_lets_go_of_the_device() -> None:
    camera = FakeCamera([picture()])
    with camera.open():
        pass
    assert camera.devices[0].closed
    assert np.asarray(camera.clock.waits).size == 0
