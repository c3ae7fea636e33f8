"""Pipelines that really run, in GStreamer."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from command_line import Cli
from gstreamer_here import need_gstreamer
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.gst import library
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import FeedOptions
from pycocotools import mask as coco
from scenes import held_out

EVERY = FeedOptions(newest=False)
BARS = "gst:videotestsrc pattern=smpte num-buffers=20"


@pytest.fixture(scope="module", autouse=True)
def gstreamer() -> None:
    need_gstreamer("videotestsrc", "videoconvert", "videoscale", "appsink")


def frames(spec: str, count: int = 20, **options: Any) -> list[Frame]:
    with open_source(spec, end=count, feed=EVERY, **options) as source:
        return list(source)


def test_every_frame_comes_once_with_the_time_of_its_buffer() -> None:
    taken = frames(f"{BARS} ! video/x-raw,framerate=25/1")
    assert [frame.index for frame in taken] == list(range(20))
    assert [frame.time_s for frame in taken] == pytest.approx([n / 25 for n in range(20)], abs=0.001)


def test_rate_and_size_are_those_of_the_pipeline() -> None:
    with open_source(f"{BARS} ! video/x-raw,width=64,height=48,framerate=10/1", feed=EVERY) as source:
        assert (source.size, source.fps, source.about) == ((64, 48), 10.0, "GStreamer")


@pytest.mark.parametrize("layout", ["RGB", "BGR", "RGBA", "BGRA", "RGBx", "BGRx"])
def test_layouts_and_padded_rows_give_the_same_picture(layout: str) -> None:
    want = frames(f"{BARS} ! video/x-raw,format=RGBA,width=101,height=50", 1)[0].image
    have = frames(f"{BARS} ! video/x-raw,format={layout},width=101,height=50 ! appsink sync=false", 1)[0].image
    assert have.shape == (50, 101, 3)
    assert (have == want).all()
    assert want[10, 20].tolist() != want[10, 80].tolist(), "bars differ"


@pytest.mark.parametrize(("width", "height"), [(64, 48), (101, 51), (98, 50)])
@pytest.mark.parametrize("layout", ["I420", "NV12", "YUY2", "UYVY"])
def test_yuv_is_the_same_picture_but_for_its_coarser_colours(layout: str, width: int, height: int) -> None:
    size = f"width={width},height={height}"
    want = frames(f"{BARS} ! video/x-raw,format=RGBA,{size}", 1)[0].image
    have = frames(f"{BARS} ! video/x-raw,format={layout},{size} ! appsink sync=false", 1)[0].image
    assert have.shape == (height, width, 3)
    assert np.median(np.abs(have.astype(int) - want)) <= 3


@pytest.mark.parametrize("colorimetry", ["bt709", "bt601", "1:4:7:1"])
def test_colours_are_those_of_the_stated_matrix_and_range(colorimetry: str) -> None:
    spec = f"{BARS} ! video/x-raw,format=RGBA,width=64,height=48 ! videoconvert ! video/x-raw,format=I420"
    want = frames(f"{BARS} ! video/x-raw,format=RGBA,width=64,height=48", 1)[0].image
    have = frames(f"{spec},colorimetry={colorimetry}", 1)[0].image
    assert np.median(np.abs(have.astype(int) - want)) <= 3


def test_frames_are_scaled_within_the_pipeline() -> None:
    whole = frames(f"{BARS} ! video/x-raw,width=640,height=480", 1)[0].image
    small = frames(f"{BARS} ! video/x-raw,width=640,height=480", 1, max_side=160)[0].image
    assert small.shape == (120, 160, 3)
    shrunk = cv2.resize(whole, (160, 120), interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - shrunk.astype(int))[:70].mean() < 3


@pytest.mark.parametrize(("feed", "rest"), [(FeedOptions(), {0, 1}), (EVERY, {29})])
def test_the_newest_policy_keeps_only_the_latest_frame(feed: FeedOptions, rest: set[int]) -> None:
    def ended(what: str, details: str) -> None:
        source.stop()

    with open_source("gst:videotestsrc num-buffers=30 ! video/x-raw,width=64,height=48", feed=feed) as source:
        source.tell = ended
        reading = iter(source)
        next(reading)
        time.sleep(1)  # the pipeline runs to its end meanwhile, or until it must wait
        assert len(list(reading)) in rest


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        ("videotestsrc ! nope", "GStreamer has no element nope"),
        ("videotestsrc ! x264enc ! videoscale", "cannot build this pipeline: could not link"),
        ("videotestsrc ! video/x-raw,format=AYUV64 ! appsink", "its appsink gets AYUV64; put videoconvert"),
        ("filesrc location=/none ! decodebin", "filesrc[0-9]+: Resource not found: No such file"),
        ("videotestsrc num-buffers=0", "the stream ended"),
        ("videotestsrc pattern=none", "cannot build this pipeline"),
    ],
)
def test_what_is_wrong_with_a_pipeline_is_one_line(pipeline: str, message: str) -> None:
    with pytest.raises(SourceError, match=message) as wrong:
        open_source(f"gst:{pipeline}")
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    "pipeline",
    [
        "rtspsrc location=rtsp://user:s3cret@127.0.0.1:1/x ! decodebin",
        "rtspsrc location=rtsp://127.0.0.1:1/x user-id=a user-pw=s3cret ! decodebin",
        'rtspsrc location=rtsp://127.0.0.1:1/x user-id=a user-pw="s3cret s3cret" ! decodebin',
        "rtspsrc location=rtsp://127.0.0.1:1/user=a&password=s3cret&channel=1 ! decodebin",
        "videotestsrc ! nope user-pw=s3cret",
        "videotestsrc ! fakesink passphrase=s3cret",
    ],
)
def test_a_password_in_a_pipeline_is_never_shown(pipeline: str, cli: Cli, nano_bundle: Path) -> None:
    code, out, err = cli("run", nano_bundle, f"gst:{pipeline}", "--point", "9,9", "--log-json")
    assert code == 2
    assert "s3cret" not in out + err
    assert "***" in err
    assert "Traceback" not in err


def test_the_log_says_what_decodes(cli: Cli, nano_bundle: Path, tmp_path: Path) -> None:
    need_gstreamer("x264enc", "h264parse", "avdec_h264")
    spec = f"{BARS} ! x264enc tune=zerolatency ! h264parse ! avdec_h264"
    words = ("--point", "9,9", "--every-frame", "--end", 4, "--reader", "gstreamer", "--masks", tmp_path / "m.jsonl")
    code, _, err = cli("run", nano_bundle, spec, *words)
    assert code == 0, err
    assert "reader: GStreamer, decoding H.264 by avdec_h264" in err
    assert len((tmp_path / "m.jsonl").read_text().splitlines()) == 4


def test_the_doctor_names_the_decoders(cli: Cli) -> None:
    code, out, _ = cli("doctor")
    assert code == 0
    assert f"GStreamer {library.gstreamer_version()}: H.264" in out


def test_memory_stays_where_it_is_over_ten_thousand_frames() -> None:
    process = psutil.Process()
    spec = "gst:videotestsrc pattern=black ! video/x-raw,width=160,height=120"
    with open_source(spec, end=10_000, feed=EVERY) as source:
        sizes = [process.memory_info().rss for frame in source if frame.index % 1000 == 999]
    grown = sizes[-1] - sizes[1]  # 8,000 frames of 57,600 bytes are 460 MB
    assert grown < 8 << 20, sizes


def test_masks_are_those_of_the_same_file_read_by_pyav(cli: Cli, trained_bundle: Path, tmp_path: Path) -> None:
    need_gstreamer("decodebin", "qtdemux", "h264parse", "avdec_h264")
    (clip,) = held_out("cluttered", 1)
    file = tmp_path / "clip.mp4"
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"crf": "15"})
        stream.height, stream.width, stream.pix_fmt = *clip.frames.shape[1:3], "yuv420p"
        for image in clip.frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    rows, columns = np.nonzero(clip.labels[0] == 1)
    words = ("--box", f"{columns.min()},{rows.min()},{columns.max() + 1},{rows.max() + 1}", "--end", len(clip.frames))
    masks = []
    for spec in (str(file), f"gst:filesrc location={file} ! decodebin"):
        code, _, err = cli("run", trained_bundle, spec, *words, "--every-frame", "--masks", tmp_path / "m.jsonl")
        assert code == 0, err
        lines = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text().splitlines()]
        masks.append([line["objects"][0]["segmentation"] for line in lines])
    assert len(masks[0]) == len(masks[1]) == len(clip.frames)
    assert sum(coco.area(mask) > 0 for mask in masks[0]) >= 15
    assert masks[0] == masks[1]


@pytest.fixture
def without_gi(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine without python3-gi."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "gi"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "gi", None)
    monkeypatch.setattr(library, "SYSTEM_PACKAGES", ())
    library.load_gstreamer.cache_clear()
    yield
    library.load_gstreamer.cache_clear()


@pytest.mark.usefixtures("without_gi")
@pytest.mark.parametrize("spec", ["csi://0", "gst:videotestsrc"])
def test_without_gi_the_packages_are_named(spec: str) -> None:
    with pytest.raises(SourceError, match=f"{spec}: .*python3-gi is missing; sudo apt-get install python3-gi"):
        open_source(spec)
    with pytest.raises(SourceError, match=f"{spec}: OpenCV was built without GStreamer"):
        open_source(spec, feed=FeedOptions(settings={"reader": "opencv"}))


def test_a_reader_that_cannot_read_it_is_refused() -> None:
    with pytest.raises(SourceError, match="cannot be read by --reader pyav; give gstreamer or opencv"):
        open_source("csi://0", feed=FeedOptions(settings={"reader": "pyav"}))
    with pytest.raises(SourceError, match="--reader is for"):
        open_source(str(Path(__file__)), feed=FeedOptions(settings={"reader": "pyav"}))
