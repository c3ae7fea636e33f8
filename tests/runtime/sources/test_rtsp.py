"""RTSP against a real server, GStreamer's, which is killed and started again under the feed.

Needs Debian's python3-gi, gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-plugins-{base,good,bad,ugly}. Read by PyAV and by
GStreamer; by the latter only where its bindings can be imported here.
"""

import gc
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from gstreamer_here import need_gstreamer
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.gst import feeds
from masklet.runtime.sources.gst.elements import has_element
from masklet.runtime.sources.gst.feeds import open_rtsp as open_by_gstreamer
from masklet.runtime.sources.live import LiveSource
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.rtsp import open_rtsp
from masklet.runtime.sources.source import Cut, FeedOptions

Open = Callable[..., LiveSource]
PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parents[2] / "rtsp_server.py"
NEEDS = (
    "import gi; gi.require_version('Gst', '1.0'); gi.require_version('GstRtspServer', '1.0');"
    "from gi.repository import Gst, GstRtspServer; Gst.init(None);"
    "raise SystemExit(any(Gst.ElementFactory.find(n) is None for n in ('x264enc', 'rtph264pay', 'videotestsrc')))"
)


@pytest.fixture(scope="module", autouse=True)
def gstreamer() -> None:
    if not Path(PYTHON).exists() or subprocess.run([PYTHON, "-c", NEEDS], capture_output=True).returncode:
        pytest.skip("no GStreamer RTSP server here; the packages that it takes stand above")


@contextmanager
def serving(port: int, *login: str, size: tuple[int, int] = (160, 120)) -> Iterator[None]:
    words = [PYTHON, str(SERVER), str(port), *map(str, size), *login]
    server = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found: int = free.getsockname()[1]
    return found


@pytest.fixture(params=["pyav", "gstreamer"])
def reader(request: pytest.FixtureRequest) -> str:
    """The reader of a stream, as `--reader` names it."""
    if request.param == "gstreamer":
        need_gstreamer("rtspsrc", "h264parse", "h265parse", "avdec_h264", "avdec_h265")
    return str(request.param)


@pytest.fixture
def open_by(reader: str) -> Open:
    """Opens a stream by that reader."""
    return open_rtsp if reader == "pyav" else open_by_gstreamer


def asking(reader: str) -> FeedOptions:
    return FeedOptions(settings={"reader": reader})


class Reader:
    """Reads a feed in a thread, as a run does."""

    def __init__(self, source: LiveSource) -> None:
        self.frames: list[Frame] = []
        self._source = source
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for frame in self._source:
            self.frames.append(frame)

    def until(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not holds():
            assert time.monotonic() < deadline, len(self.frames)
            time.sleep(0.02)

    def stop(self) -> None:
        self._source.stop()
        self._thread.join(15)
        assert not self._thread.is_alive()


def test_a_server_that_dies_and_comes_back_with_another_resolution(port: int, open_by: Open) -> None:
    url, told = f"rtsp://127.0.0.1:{port}/test", list[str]()
    with serving(port):
        source = open_by(url, url, Cut(), FeedOptions(), timeout_s=3)
        source.tell = lambda what, detail: told.append(what)
        reader = Reader(source)
        reader.until(lambda: len(reader.frames) >= 8)
    reader.until(lambda: "lost" in told)
    before = len(reader.frames)
    with serving(port, size=(320, 240)):
        reader.until(lambda: len(reader.frames) >= before + 8)
        reader.stop()
    assert source.reconnects == 1
    assert "resized" in told
    assert {frame.hw for frame in reader.frames} == {(120, 160)}
    times = [frame.time_s for frame in reader.frames]
    assert times == sorted(times)
    assert len(reader.frames) + source.corrupt == reader.frames[-1].index + 1


def test_user_and_password_are_needed_and_never_shown(port: int, reader: str) -> None:
    with serving(port, "operator", "s3cret"):
        source = open_source(f"rtsp://operator:s3cret@127.0.0.1:{port}/test", end=3, feed=asking(reader))
        assert "s3cret" not in source.name
        with source:
            assert len(list(source)) + source.corrupt == 3
        for login in ("operator:wr0ng@", ""):
            with pytest.raises(SourceError, match="the server refuses user or password") as refused:
                open_source(f"rtsp://{login}127.0.0.1:{port}/test", feed=asking(reader))
            assert "wr0ng" not in str(refused.value)
        with pytest.raises(SourceError, match="no such stream; check the path") as none:
            open_source(f"rtsp://operator:s3cret@127.0.0.1:{port}/elsewhere", feed=asking(reader))
        assert "s3cret" not in str(none.value)


def test_a_server_that_is_not_there(port: int, reader: str) -> None:
    why = {"pyav": "Connection refused", "gstreamer": "the server cannot be reached"}[reader]
    with pytest.raises(SourceError, match=rf"rtsp://u:\*\*\*@127.0.0.1:\d+/x: {why}"):
        open_source(f"rtsp://u:word@127.0.0.1:{port}/x", feed=asking(reader))


def held() -> tuple[int, int]:
    """Open files and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))


@pytest.mark.parametrize("reachable", [True, False])
def test_reconnecting_leaves_no_files_and_threads_behind(port: int, reader: str, reachable: bool) -> None:
    """A camera that is off for a night is tried three thousand times; without the collector of cycles, too."""

    def connect() -> None:
        with suppress(SourceError), open_source(f"rtsp://127.0.0.1:{port}/test", end=2, feed=asking(reader)) as source:
            assert len(list(source)) <= 2

    with serving(port) if reachable else nullcontext():
        connect()
        connect()
        gc.collect()
        gc.disable()
        try:
            files, threads = held()
            for _ in range(6):
                connect()
            now_files, now_threads = held()
        finally:
            gc.enable()
    assert now_files <= files + 4
    assert now_threads <= threads + 4


def test_a_server_that_never_answers(port: int, open_by: Open) -> None:
    with socket.create_server(("127.0.0.1", port)):
        url = f"rtsp://127.0.0.1:{port}/x"
        with pytest.raises(SourceError, match=r"nothing came for 0.5 s"):
            open_by(url, url, Cut(), FeedOptions(), timeout_s=0.5)


def test_options_of_an_rtsp_stream_are_the_servers(open_by: Open) -> None:
    with pytest.raises(SourceError, match="an RTSP server decides size"):
        open_by("rtsp://127.0.0.1/x", "x", Cut(), FeedOptions(rate=5))


@pytest.mark.parametrize(
    ("path", "decoder"),
    [
        ("test", "H.264 by avdec_h264"),
        ("h265", "H.265 by avdec_h265"),
        ("jpeg", "JPEG by jpegdec"),
        ("vp8", "video/x-vp8 by vp8dec"),
    ],
)
def test_gstreamer_decodes_what_the_server_sends(port: int, path: str, decoder: str) -> None:
    need_gstreamer("rtspsrc", "vp8dec", "jpegdec", "h264parse", "h265parse", "avdec_h264", "avdec_h265")
    with serving(port), open_source(f"rtsp://127.0.0.1:{port}/{path}", end=3, feed=asking("gstreamer")) as source:
        assert source.about == f"GStreamer, decoding {decoder}"
        assert source.size == (160, 120)
        times = [frame.time_s for frame in source]
    assert times == sorted(times)
    assert len(times) + source.corrupt == 3


def test_the_decoder_is_chosen_for_the_stream_and_pyav_steps_in_without_one(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_gstreamer("rtspsrc", "h264parse")
    monkeypatch.setattr(feeds, "has_element", lambda name: name != "avdec_h264" and has_element(name))
    url = f"rtsp://127.0.0.1:{port}/test"
    with serving(port):
        with open_source(url, end=2) as source:
            assert "PyAV, decoding h264 by FFmpeg (H.264 cannot be decoded: GStreamer has no avdec_h264" in source.about
            assert len(list(source)) + source.corrupt == 2
        with pytest.raises(SourceError, match=f"{url}: H.264 cannot be decoded: .*gstreamer1.0-libav"):
            open_source(url, feed=asking("gstreamer"))


def test_a_server_without_video(port: int, reader: str) -> None:
    with serving(port), pytest.raises(SourceError, match="the server sends no video"):
        open_source(f"rtsp://127.0.0.1:{port}/sound", feed=asking(reader))


def test_a_stream_that_loses_packets_goes_on(port: int, reader: str) -> None:
    with serving(port), open_source(f"rtsp://127.0.0.1:{port}/lossy", end=45, feed=asking(reader)) as source:
        taken = list(source)
    assert len(taken) + source.corrupt == 45
    assert source.reconnects == 0
    assert taken[-1].time_s < 10, "two per cent of the packets, not of the stream, are missing"
