"""Bags: what comes out of them is what was written, and one line for what is wrong with them."""

from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from masklet.runtime.errors import MaskletWarning, SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.bags.topic import COMPRESSED, IMAGE
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import FeedOptions
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as FolderWriter
from written_bags import BEGIN_NS, STORE, U8, Note, compressed, raw, text, write_folder, write_mcap

STEP_NS = 33_333_333


def pictures(count: int, height: int = 24, width: int = 32) -> list[U8]:
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8))


def times(count: int) -> list[int]:
    return [BEGIN_NS + n * STEP_NS for n in range(count)]


def on(topic: str) -> FeedOptions:
    return FeedOptions(settings={"topic": topic})


@pytest.fixture
def two_topics() -> list[Note]:
    """Ten raw images, ten PNGs of others, and text, in turns."""
    notes = []
    for time_ns, image in zip(times(10), pictures(10), strict=True):
        notes += [
            raw(image, "rgb8", time_ns, padding=3),
            compressed(255 - image, ".png", time_ns + 5),
            text("hello", time_ns + 9),
        ]
    return notes


@pytest.mark.parametrize("form", ["mcap", "folder of mcap", "folder of sqlite3", "db3"])
def test_frames_and_times_are_exact_in_every_form(form: str, two_topics: list[Note], tmp_path: Path) -> None:
    if form == "mcap":
        bag = write_mcap(tmp_path / "drive.mcap", two_topics)
    else:
        storage = StoragePlugin.MCAP if form == "folder of mcap" else StoragePlugin.SQLITE3
        bag = write_folder(tmp_path / "drive", two_topics, storage)
        bag = next(bag.glob("*.db3")) if form == "db3" else bag
    for topic, want in (("/camera/image_raw", pictures(10)), ("/camera/compressed", [255 - p for p in pictures(10)])):
        with open_source(str(bag), feed=on(topic)) as source:
            frames = list(source)
            assert (source.frames, source.size) == (10, (32, 24))
            assert source.fps == pytest.approx(30, abs=0.01)
            assert source.began_ns == BEGIN_NS + (5 if topic == "/camera/compressed" else 0)
        assert [round(frame.time_s * 1e9) for frame in frames] == [n * STEP_NS for n in range(10)]
        assert (np.stack([frame.image for frame in frames]) == np.stack(want)).all()


def test_messages_out_of_order_and_gaps_come_in_the_order_of_their_times(tmp_path: Path) -> None:
    notes = [raw(image, "rgb8", time_ns) for image, time_ns in zip(pictures(60), times(60), strict=True)]
    del notes[20:40]
    shuffled = [notes[n] for n in np.random.default_rng(1).permutation(len(notes))]
    bag = write_mcap(tmp_path / "drive.mcap", shuffled)
    with open_source(str(bag)) as source:
        frames = list(source)
    kept = [*range(20), *range(40, 60)]
    assert [frame.index for frame in frames] == list(range(40))
    assert [round(frame.time_s * 1e9) for frame in frames] == [n * STEP_NS for n in kept]
    assert (np.stack([frame.image for frame in frames]) == np.stack(pictures(60))[kept]).all()


def test_a_cut_takes_the_frames_it_names(two_topics: list[Note], tmp_path: Path) -> None:
    bag = write_mcap(tmp_path / "drive.mcap", two_topics)
    with open_source(str(bag), start=2, end=9, stride=3, max_side=16, feed=on("/camera/image_raw")) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == [2, 5, 8]
    assert {frame.hw for frame in frames} == {(12, 16)}


def test_an_mcap_file_is_read_backwards(two_topics: list[Note], tmp_path: Path) -> None:
    twice = [raw(picture, "rgb8", times(10)[4]) for picture in pictures(2)]  # at the time of another
    shuffled = [(*two_topics, *twice)[n] for n in np.random.default_rng(1).permutation(len(two_topics) + 2)]
    bag = str(write_mcap(tmp_path / "drive.mcap", shuffled))
    for start, end, stride in ((0, None, 1), (2, 9, 3)):
        forwards, backwards = (
            list(open_source(bag, start=start, end=end, stride=stride, reverse=reverse, feed=on("/camera/image_raw")))
            for reverse in (False, True)
        )
        backwards.reverse()
        assert [(frame.index, frame.time_s) for frame in backwards] == [(f.index, f.time_s) for f in forwards]
        assert all((one.image == other.image).all() for one, other in zip(backwards, forwards, strict=True))


def test_other_bags_are_not_read_backwards(two_topics: list[Note], tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "drive", two_topics, StoragePlugin.SQLITE3)
    whole = write_mcap(tmp_path / "drive.mcap", two_topics)
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[:-2000])
    plain = write_mcap(tmp_path / "plain.mcap", two_topics, chunked=False)
    for bag in (folder, cut, plain):
        with pytest.raises(SourceError, match="only an MCAP file with its index is read backwards"):
            open_source(str(bag), reverse=True, feed=on("/camera/image_raw"))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra"])
def test_the_order_of_channels_is_exact(order: str, bits: int, tmp_path: Path) -> None:
    (image,) = pictures(1, 7, 9)
    planes = {letter: image[:, :, n] for n, letter in enumerate("rgb")} | {"a": np.full((7, 9), 3, np.uint8)}
    stored = np.dstack([planes[letter] for letter in order])
    forms = [stored] if bits == 8 else [(stored * np.uint16(256) + 77).astype(end) for end in ("<u2", ">u2")]
    for array in forms:
        (frame,) = open_source(str(write_mcap(tmp_path / "a.mcap", [raw(array, f"{order}{bits}", BEGIN_NS)])))
        assert (frame.image == image).all()


@pytest.mark.parametrize(("encoding", "channels"), [("8UC3", 3), ("8UC4", 4)])
def test_an_array_of_opencv_is_bgr(encoding: str, channels: int, tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 256, (5, 6, channels), np.uint8)
    (frame,) = open_source(str(write_mcap(tmp_path / "a.mcap", [raw(stored, encoding, BEGIN_NS)])))
    assert (frame.image == stored[:, :, 2::-1]).all()


def test_grey_of_8_and_16_bits_in_either_byte_order(tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (6, 8), np.uint8)
    deep = grey.astype(np.uint16) * 256 + 77
    for array, encoding in ((grey, "mono8"), (deep.astype("<u2"), "mono16"), (deep.astype(">u2"), "mono16")):
        bag = write_mcap(tmp_path / "a.mcap", [raw(array, encoding, BEGIN_NS)])
        (frame,) = open_source(str(bag))
        assert (frame.image == grey[:, :, None]).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_have_their_colours(pattern: str, bits: int, tmp_path: Path) -> None:
    """The letters name the two rows of a tile from its upper left (image_encodings.hpp)."""
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colour[letter] for letter in pattern], np.uint8).reshape(2, 2)
    array = np.tile(tile, (8, 8)) if bits == 8 else np.tile(tile, (8, 8)) * np.uint16(256) + 77
    bag = write_mcap(tmp_path / "a.mcap", [raw(array, f"bayer_{pattern}{bits}", BEGIN_NS)])
    (frame,) = open_source(str(bag))
    assert (frame.image[4:-4, 4:-4] == (200, 120, 40)).all()


def rgb_by_formula(luma: U8, cb: U8, cr: U8) -> npt.NDArray[np.float64]:
    """BT.601, limited range."""
    y, u, v = 1.164 * (luma.astype(float) - 16), cb.astype(float) - 128, cr.astype(float) - 128
    return np.dstack([y + 1.596 * v, y - 0.813 * v - 0.392 * u, y + 2.017 * u]).clip(0, 255)


@pytest.mark.parametrize(
    ("encoding", "order"), [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")]
)
def test_yuv_422(encoding: str, order: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    luma, cb, cr = (rng.integers(60, 190, (6, width), np.uint8) for width in (8, 4, 4))
    parts = {"u": [cb], "v": [cr], "y": [luma[:, ::2], luma[:, 1::2]]}
    stored = np.dstack([parts[letter].pop(0) for letter in order]).reshape(6, 8, 2)
    (frame,) = open_source(str(write_mcap(tmp_path / "a.mcap", [raw(stored, encoding, BEGIN_NS, padding=2)])))
    want = rgb_by_formula(luma, cb.repeat(2, 1), cr.repeat(2, 1))
    assert frame.image.astype(float) == pytest.approx(want, abs=2)


@pytest.mark.parametrize(("encoding", "order"), [("nv12", "uv"), ("nv21", "vu")])
def test_yuv_420(encoding: str, order: str, tmp_path: Path) -> None:
    """Half as many rows of colours follow those of brightness; the message states the height of the image."""
    rng = np.random.default_rng(0)
    luma, cb, cr = (rng.integers(60, 190, shape, np.uint8) for shape in ((6, 8), (3, 4), (3, 4)))
    colours = np.dstack([{"u": cb, "v": cr}[letter] for letter in order]).reshape(3, 8)
    note = raw(np.vstack([luma, colours]), encoding, BEGIN_NS, padding=5)
    note.message.height = 6
    (frame,) = open_source(str(write_mcap(tmp_path / "a.mcap", [note])))
    want = rgb_by_formula(luma, *(plane.repeat(2, 0).repeat(2, 1) for plane in (cb, cr)))
    assert frame.image.astype(float) == pytest.approx(want, abs=2)


@pytest.mark.parametrize(("encoding", "shape"), [("uyvy", (4, 5, 2)), ("nv12", (6, 5)), ("nv21", (9, 4))])
def test_a_size_that_a_layout_cannot_have_counts_as_damaged(
    encoding: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    bag = write_mcap(tmp_path / "a.mcap", [raw(np.zeros(shape, np.uint8), encoding, BEGIN_NS)])
    with pytest.raises(SourceError, match="no image of /camera/image_raw can be decoded"):
        open_source(str(bag))


def test_damaged_images_are_left_out_and_counted(tmp_path: Path) -> None:
    notes = [compressed(image, ".jpg", time_ns) for image, time_ns in zip(pictures(5), times(5), strict=True)]
    notes[2].message.data = notes[2].message.data[:20]
    bag = write_mcap(tmp_path / "drive.mcap", notes)
    with open_source(str(bag)) as source:
        assert [frame.index for frame in source] == [0, 1, 3, 4]
        assert source.corrupt == 1


def test_topics_are_listed(two_topics: list[Note], tmp_path: Path) -> None:
    bag = str(write_mcap(tmp_path / "drive.mcap", two_topics))
    listed = r"its topics with images: /camera/compressed \(10\), /camera/image_raw \(10\)"
    with pytest.raises(SourceError, match=f"give --topic; {listed}"):
        open_source(bag)
    with pytest.raises(SourceError, match=f"has no topic /cam; {listed}"):
        open_source(bag, feed=on("/cam"))
    with pytest.raises(SourceError, match=f"/talk has std_msgs/msg/String, not images; {listed}"):
        open_source(bag, feed=on("/talk"))
    only_text = str(write_mcap(tmp_path / "talk.mcap", [text("hello", BEGIN_NS)]))
    with pytest.raises(SourceError, match=r"has no images; its topics: /talk \(std_msgs/msg/String, 1\)"):
        open_source(only_text)


@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_a_topic_without_messages_is_not_the_one_with_images(plugin: StoragePlugin, tmp_path: Path) -> None:
    """Recorders announce a topic, such as image_transport's other ones, before its first message."""
    with FolderWriter(tmp_path / "bag", version=9, storage_plugin=plugin) as writer:
        writer.add_connection("/image/compressed", COMPRESSED, typestore=STORE)
        camera = writer.add_connection("/image", IMAGE, typestore=STORE)
        note = raw(pictures(1)[0], "rgb8", BEGIN_NS)
        writer.write(camera, BEGIN_NS, STORE.serialize_cdr(note.message, IMAGE))
    bag = str(tmp_path / "bag")
    with open_source(bag) as source:
        assert len(list(source)) == 1
    listed = r"its topics with images: /image \(1\), /image/compressed \(0\)"
    with pytest.raises(SourceError, match=f"/image/compressed has no messages; {listed}"):
        open_source(bag, feed=on("/image/compressed"))
    with FolderWriter(tmp_path / "empty", version=9, storage_plugin=plugin) as writer:
        writer.add_connection("/image", IMAGE, typestore=STORE)
    with pytest.raises(SourceError, match=r"has no images; its topics: /image \(sensor_msgs/msg/Image, 0\)"):
        open_source(str(tmp_path / "empty"))


def test_what_is_wrong_with_a_bag_is_one_line(two_topics: list[Note], tmp_path: Path) -> None:
    image = pictures(1)[0]
    cases = {
        "unknown image encoding '32FC1'; expected one of rgb8": [raw(image[:, :, :1], "32FC1", BEGIN_NS)],
        "unknown image encoding '16UC1'; expected one of rgb8": [raw(image[:, :, :2], "16UC1", BEGIN_NS)],
        "no image of /camera/image_raw can be decoded": [raw(image[:, :, :1], "rgb8", BEGIN_NS)],
        "a bag must keep its size": [raw(image, "rgb8", BEGIN_NS), raw(image[:8], "rgb8", BEGIN_NS + 1)],
    }
    for message, notes in cases.items():
        bag = write_mcap(tmp_path / "a.mcap", notes)
        with pytest.raises(SourceError, match=message):
            list(open_source(str(bag)))
    with pytest.raises(SourceError, match="--topic is for a bag"):
        open_source("rtsp://127.0.0.1:1/x", feed=on("/camera"))
    (tmp_path / "empty.mcap").write_bytes(b"")
    (tmp_path / "none").mkdir()
    (tmp_path / "none/metadata.yaml").write_text("rosbag2_bagfile_information: 5")
    for damaged in ("empty.mcap", "none"):
        with pytest.raises(SourceError, match="the bag is damaged"):
            open_source(str(tmp_path / damaged))


def test_a_bag_that_was_cut_off_gives_what_it_has(two_topics: list[Note], tmp_path: Path) -> None:
    whole = write_mcap(tmp_path / "whole.mcap", two_topics).read_bytes()
    bag = tmp_path / "cut.mcap"
    bag.write_bytes(whole[: len(whole) * 6 // 10])
    with pytest.warns(
        MaskletWarning, match=r"cut.mcap: was cut off, or its index is damaged; \d+ messages of it are read"
    ):
        frames = list(open_source(str(bag), feed=on("/camera/image_raw")))
    assert 2 <= len(frames) < 10
    assert (np.stack([frame.image for frame in frames]) == np.stack(pictures(10)[: len(frames)])).all()


@pytest.mark.parametrize("form", ["mcap", "folder"])
def test_no_image_with_a_flipped_byte_passes_for_a_good_one(form: str, tmp_path: Path) -> None:
    """Stored without compression, where only the CRC of its chunk shows it."""
    notes = [raw(image, "rgb8", time_ns) for image, time_ns in zip(pictures(30), times(30), strict=True)]
    bag = file = tmp_path / "a.mcap"
    if form == "folder":
        bag = write_folder(tmp_path / "drive", notes, StoragePlugin.MCAP)
        file = next(bag.glob("*.mcap"))
    write_mcap(file, notes, compression=CompressionType.NONE)  # rosbags writes no CRCs
    damaged = bytearray(file.read_bytes())
    damaged[damaged.index(pictures(30)[20].tobytes()) + 5] ^= 1
    file.write_bytes(damaged)
    frames: list[Frame] = []
    with pytest.raises(SourceError, match=r"the bag is damaged \(.*(crc|checksum).*`mcap recover`") as raised:
        frames.extend(open_source(str(bag)))  # those before the damage stay in the list
    assert "\n" not in str(raised.value)
    if form == "mcap":
        after_ns = times(30)[len(frames) - 1]
        assert 10 < len(frames) <= 20
        assert f"after {len(frames)} of 30 images, at {after_ns / 1e9:.3f} s: crc validation" in str(raised.value)


def test_a_damaged_index_is_not_believed(tmp_path: Path) -> None:
    """Each byte of it flipped in turn: every image comes, in the order in which they were stored."""
    notes = [raw(image, "rgb8", time_ns) for image, time_ns in zip(pictures(9), times(9), strict=True)]
    path = write_mcap(tmp_path / "a.mcap", notes)
    whole = path.read_bytes()
    start = int.from_bytes(whole[-28:-20], "little")
    for at in range(start, len(whole) - 28, 7):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.warns(MaskletWarning, match="its index is damaged; 9 messages of it are read"):
            frames = list(open_source(str(path)))
        assert [round(frame.time_s * 1e9) for frame in frames] == [n * STEP_NS for n in range(9)]


@pytest.mark.filterwarnings("ignore::masklet.runtime.errors.MaskletWarning")
def test_damage_anywhere_gives_frames_or_one_line(two_topics: list[Note], tmp_path: Path) -> None:
    whole = write_mcap(tmp_path / "whole.mcap", two_topics).read_bytes()
    bag = tmp_path / "cut.mcap"
    rng = np.random.default_rng(3)
    for n in range(60):
        damaged = bytearray(whole)
        if n % 2:
            for at in rng.integers(8, len(whole), 4):
                damaged[at] ^= 0xFF
        bag.write_bytes(damaged if n % 2 else whole[: len(whole) * n // 60])
        with suppress(SourceError):  # anything else fails the test
            list(open_source(str(bag), feed=on("/camera/image_raw")))


def test_topics_of_other_encodings_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "mixed.mcap"
    (image,) = pictures(1)
    note = raw(image, "rgb8", BEGIN_NS)
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()  # without ROS 2's profile
        json = writer.register_channel("/state", "json", writer.register_schema("State", "jsonschema", b"{}"))
        camera = writer.register_channel("/cam", "cdr", writer.register_schema(note.type, "ros2msg", b""))
        writer.add_message(json, BEGIN_NS, b"{}", BEGIN_NS)
        writer.add_message(camera, BEGIN_NS, note.data, BEGIN_NS)
        writer.finish()
    (frame,) = open_source(str(path))
    assert (frame.image == image).all()
    with pytest.raises(SourceError, match=r"/state has State \(json\), not images"):
        open_source(str(path), feed=on("/state"))
