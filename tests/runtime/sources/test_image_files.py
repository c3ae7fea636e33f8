"""Images and folders of images: every kind becomes upright RGB, in the order that a person expects."""

from pathlib import Path

import numpy as np
import pytest
from masklet.runtime.errors import SourceError
from masklet.runtime.results import Frame
from masklet.runtime.sources.opening import open_source
from PIL import Image
from striped_clips import number, right, seen, striped

COLOUR = (200, 100, 50)


def one_frame(path: Path) -> Frame:
    with open_source(str(path)) as source:
        assert source.frames == 1
        (frame,) = source
    return frame


def flat(mode: str) -> Image.Image:
    return Image.new("RGB", (24, 16), COLOUR).convert(mode)


@pytest.mark.parametrize(
    ("name", "image", "want", "tolerance"),
    [
        ("a.png", flat("RGB"), COLOUR, 0),
        ("a.jpg", flat("RGB"), COLOUR, 3),
        ("a.JPEG", flat("RGB"), COLOUR, 3),
        ("a.webp", flat("RGB"), COLOUR, 8),
        ("a.bmp", flat("RGB"), COLOUR, 0),
        ("a.tif", flat("RGB"), COLOUR, 0),
        ("a.png", flat("RGB").quantize(4), COLOUR, 1),
        ("a.png", flat("RGBA"), COLOUR, 0),
        ("a.png", flat("L"), (124, 124, 124), 0),
        ("a.png", Image.fromarray(np.full((16, 24), 124 * 257, np.uint16)), (124, 124, 124), 0),
        ("a.jpg", flat("CMYK"), COLOUR, 6),
    ],
    ids=["png", "jpg", "jpeg", "webp", "bmp", "tif", "palette", "rgba", "grey", "16-bit", "cmyk"],
)
def test_every_kind_of_image_becomes_rgb(
    tmp_path: Path, name: str, image: Image.Image, want: tuple[int, int, int], tolerance: int
) -> None:
    image.save(tmp_path / name)
    got = one_frame(tmp_path / name).image
    assert got.shape == (16, 24, 3)
    assert np.abs(got.astype(int) - want).max() <= tolerance


def test_an_image_is_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned; show it a quarter clockwise
    Image.fromarray(striped(5)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = one_frame(tmp_path / "a.jpg").image
    assert image.shape == (64, 48, 3)
    assert number(np.ascontiguousarray(image.transpose(1, 0, 2))) == 5


@pytest.mark.parametrize("hw", [(1, 1), (3, 20000), (1, 7)])
def test_images_of_odd_sizes_are_read(tmp_path: Path, hw: tuple[int, int]) -> None:
    Image.fromarray(np.zeros((*hw, 3), np.uint8)).save(tmp_path / "a.png")
    assert one_frame(tmp_path / "a.png").hw == hw


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images without leading zeros, and what else lies about in folders."""
    for n in range(12):
        Image.fromarray(striped(n)).save(tmp_path / f"shot{n}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._shot1.png").write_text("no image either")
    (tmp_path / "more.png").mkdir()
    return tmp_path


def test_a_folder_is_in_natural_order(folder: Path) -> None:
    with open_source(str(folder)) as source:
        assert source.frames == 12
        assert source.size == (64, 48)
    assert seen(source) == right(*range(12))
    assert seen(open_source(str(folder), start=1, stride=4)) == right(1, 5, 9)
    assert seen(open_source(str(folder), start=1, stride=4, reverse=True)) == right(9, 5, 1)
    assert seen(open_source(str(folder), max_side=32, end=3)) == right(0, 1, 2)


def test_images_of_two_sizes_are_refused_with_both(folder: Path) -> None:
    Image.fromarray(striped(7, 32, 48)).save(folder / "shot7.png")
    with pytest.raises(SourceError, match=r"shot0.png is 64x48, shot7.png is 32x48"):
        list(open_source(str(folder)))


def test_a_broken_image_in_a_folder_is_named(folder: Path) -> None:
    (folder / "shot3.png").write_bytes((folder / "shot3.png").read_bytes()[:40])
    with pytest.raises(SourceError, match=r"shot3.png: 40 bytes cannot be decoded"):
        list(open_source(str(folder)))
