"""CPU time of capturing 1080p30 from an RTSP server: by PyAV, by GStreamer, and what decoding takes of it.

    python profiles/benchmarks/capture.py [CLIP.mp4] [--write]

A real server sends an H.264 clip at 30 frames/s, without encoding it; without CLIP a moving test pattern. Each capture
is a process of its own that reads frames as `masklet run` does; its CPU time is taken after a second of warming up.
Two more say where the time goes: `decoding` receives and decodes as PyAV's reader does, and converts nothing;
`scaling` is GStreamer's pipeline up to frames of the wanted size, which Python does not touch. All take turns (A B C C
B A ...), medians are shown.
"""

import argparse
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from pathlib import Path

import av
from masklet.profiles.machine.device import conditions, device
from masklet.runtime.sources.gst.library import gstreamer_version, load_gstreamer
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import FeedOptions

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's has the bindings of the server
PORT, FRAMES, WARM, ROUNDS = 18654, 210, 30, 3
READERS = ("pyav", "gstreamer", "decoding", "scaling")
SIDES = (None, 1024, 512)
SERVER = """
import gi, sys
gi.require_version("Gst", "1.0"); gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer
Gst.init(None)
server, factory = GstRtspServer.RTSPServer(), GstRtspServer.RTSPMediaFactory()
server.set_service(sys.argv[1])
factory.set_launch(f"( filesrc location={sys.argv[2]} ! qtdemux ! h264parse ! rtph264pay name=pay0 config-interval=1 )")
server.get_mount_points().add_factory("/clip", factory)
server.attach(None)
print("ready", flush=True)
GLib.MainLoop().run()
"""
PATTERN = (
    "videotestsrc num-buffers=270 pattern=zone-plate kx2=8 ky2=8 kt=8 ! "
    "video/x-raw,format=I420,width=1920,height=1080,framerate=30/1 ! "
    "x264enc bitrate=6000 key-int-max=30 bframes=0 speed-preset=veryfast ! h264parse ! mp4mux ! filesink location={}"
)


def capture(reader: str, side: int | None) -> None:
    """Print CPU milliseconds a frame, and what decoded, as JSON; run in a process of its own."""
    feed = FeedOptions(settings={"reader": reader})
    url = f"rtsp://127.0.0.1:{PORT}/clip"
    if reader in ("decoding", "scaling"):
        opened: AbstractContextManager[Iterable[object]] = decoded(url) if reader == "decoding" else scaled(url, side)
    else:
        opened = open_source(url, end=FRAMES, max_side=side, feed=feed)
    count, began = 0, 0.0
    with opened as frames:
        for count, _ in enumerate(frames, 1):
            if count == WARM:
                began = _cpu_s()
    about = getattr(frames, "about", reader)
    print(json.dumps({"ms": (_cpu_s() - began) / (count - WARM) * 1000, "about": about, "frames": count}))


@contextmanager
def decoded(url: str) -> Iterator[Iterator[object]]:
    """Frames as they leave the decoder, by the settings of runtime/sources/rtsp.py."""
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer", "flags": "low_delay"}
    with av.open(url, options=options) as container:
        stream = container.streams.video[0]
        stream.thread_type = "SLICE"
        yield itertools.islice(container.decode(stream), FRAMES)


@contextmanager
def scaled(url: str, side: int | None) -> Iterator[Iterator[object]]:
    """Samples of an appsink, by the elements of runtime/sources/gst/."""
    gst = load_gstreamer()
    caps = f"! videoscale ! video/x-raw,width={side},height={side * 9 // 16} " if side else ""
    decode = "rtph264depay ! h264parse ! avdec_h264"
    text = (
        f"rtspsrc location={url} protocols=tcp latency=0 ! {decode} {caps}! appsink name=sink max-buffers=4 sync=false"
    )
    pipeline = gst.parse_launch(text)
    pipeline.set_state(gst.State.PLAYING)
    try:
        pull = pipeline.get_by_name("sink").try_pull_sample
        yield itertools.islice(iter(lambda: pull(5 * gst.SECOND), None), FRAMES)
    finally:
        pipeline.set_state(gst.State.NULL)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(clip: Path) -> dict[tuple[str, int | None], list[float]]:
    """CPU milliseconds a frame of every round, by reader and longest side."""
    found: dict[tuple[str, int | None], list[float]] = {}
    for turn in range(ROUNDS):
        for side in SIDES:
            for reader in READERS if turn % 2 == 0 else READERS[::-1]:
                if reader == "decoding" and side:
                    continue
                server = subprocess.Popen(
                    [SYSTEM_PYTHON, "-c", SERVER, str(PORT), str(clip)], stdout=subprocess.PIPE, text=True
                )
                try:
                    assert server.stdout is not None
                    server.stdout.readline()
                    words = [sys.executable, __file__, "--capture", reader, *(["--side", str(side)] if side else [])]
                    said = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
                finally:
                    server.kill()
                    server.wait()
                found.setdefault((reader, side), []).append(said["ms"])
                print(f"{reader}, {side or 'whole'}: {said['ms']:.2f} ms, {said['frames']} frames, {said['about']}")
    return found


def report(found: dict[tuple[str, int | None], list[float]], clip: str, load: float) -> str:
    middle = {key: statistics.median(figures) for key, figures in found.items()}
    floor, rows = middle["decoding", None], []
    for side in SIDES:
        one, other = middle["pyav", side], middle["gstreamer", side]
        cells = [_cell(found["pyav", side]), _cell(found["gstreamer", side]), f"{other / one:.2f}", "0.50"]
        cells += [f"{floor / one:.2f}", f"{middle['scaling', side] / one:.2f}"]
        name = "1920 x 1080" if side is None else f"`--max-side {side}`"
        rows.append(f"| {name} | {' | '.join(cells)} |")
    scaling = ", ".join(_cell(found["scaling", side]) for side in SIDES)
    return "\n".join(
        [
            "# Capture of 1080p30 from RTSP",
            "",
            f"{date.today()}, {device().cpu}, {device().cores} cores, load {load:.2f}, "
            f"GStreamer {gstreamer_version()}, {clip}. CPU milliseconds a frame of the whole process, median of "
            f"{ROUNDS} rounds in turns (least to most). `python profiles/benchmarks/capture.py --write`",
            "",
            "| frames | PyAV | GStreamer, `avdec_h264` | ratio | wanted | of it decoding | and scaling |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            "Both readers decode by the same libavcodec on the CPU. Receiving and decoding alone, by PyAV and without "
            f"any conversion, take {_cell(found['decoding', None])} ms; GStreamer takes {scaling} ms until decoded "
            "frames have the three sizes, before Python touches them. The last two columns are these as parts of what "
            "PyAV's reader takes: no reader that decodes in software gets below the first, nor this one below the "
            "second. What GStreamer saves is the conversion of whole frames where smaller ones are wanted. A decoder "
            "of the chip, which takes the decoding off the CPU, was not measured.",
            "",
        ]
    )


def _cell(figures: Sequence[float]) -> str:
    return f"{statistics.median(figures):.1f} ({min(figures):.1f} to {max(figures):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", nargs="?", type=Path)
    parser.add_argument("--write", action="store_true", help="write capture.md")
    parser.add_argument("--capture", choices=READERS, help=argparse.SUPPRESS)
    parser.add_argument("--side", type=int, help=argparse.SUPPRESS)
    words = parser.parse_args()
    if words.capture:
        capture(words.capture, words.side)
        return
    load = (conditions().load_average or (0.0,))[0]
    with tempfile.TemporaryDirectory() as folder:
        clip = words.clip or Path(folder) / "pattern.mp4"
        if words.clip is None:
            gst = load_gstreamer()
            pipeline = gst.parse_launch(PATTERN.format(clip))
            pipeline.set_state(gst.State.PLAYING)
            pipeline.get_bus().timed_pop_filtered(gst.CLOCK_TIME_NONE, gst.MessageType.EOS | gst.MessageType.ERROR)
            pipeline.set_state(gst.State.NULL)
        text = report(measure(clip), words.clip.name if words.clip else "a moving test pattern", load)
    print(text)
    if words.write:
        (HERE / "capture.md").write_text(text)


main()
