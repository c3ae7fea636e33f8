"""`masklet segment` and `masklet everything` as a user meets them."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.sources.image_files import read_image
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO

WIDTH, HEIGHT = 90, 60


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    pixels[20:40, 30:60] = (40, 60, 220)
    cv2.imwrite(str(path), pixels)
    return path


def test_segment_writes_a_palette_png_a_picture_and_json(
    cli: Cli, sam_bundle: Path, photo: Path, tmp_path: Path
) -> None:
    mask, picture = tmp_path / "mask.png", tmp_path / "picture.png"
    prompts = ("--point", "40,30", "--negative", "5,5", "--box", "7:30,20,60,40")
    code, out, err = cli("segment", sam_bundle, photo, *prompts, "-o", mask, "--overlay", picture, "--json", "--all")
    assert code == 0, err
    document = json.loads(out)
    assert document["size"] == [HEIGHT, WIDTH]
    assert [found["id"] for found in document["objects"]] == [1, 7]
    ids = np.asarray(Image.open(mask))
    drawn = np.zeros_like(ids, bool)
    for found in document["objects"]:
        decoded = coco.decode(found["segmentation"]).astype(bool)
        assert decoded.shape == ids.shape
        assert len(found["candidates"]) == 3
        drawn |= decoded
    assert np.array_equal(ids > 0, drawn)
    assert set(np.unique(ids)) <= {0, 1, 7}
    assert read_image(picture).shape == (HEIGHT, WIDTH, 3)


def test_segment_says_what_it_found(cli: Cli, nano_bundle: Path, photo: Path) -> None:
    code, out, err = cli("segment", nano_bundle, photo, "--point", "40,30")
    assert code == 0, err
    assert out.startswith("object 1: ")


def test_everything_writes_a_dataset_and_a_picture(cli: Cli, sam_bundle: Path, photo: Path, tmp_path: Path) -> None:
    masks, picture = tmp_path / "masks.json", tmp_path / "picture.png"
    loose = ("--points-per-side", 4, "--min-predicted-iou", 0.1, "--min-stability", 0.1, "--box-overlap", 1)
    code, out, err = cli("everything", sam_bundle, photo, *loose, "-o", masks, "--overlay", picture)
    assert code == 0, err
    dataset = COCO(str(masks))
    assert out.endswith(f"{len(dataset.anns)} masks; wrote {masks}, {picture}\n")
    assert len(dataset.anns) > 0
    assert read_image(picture).shape == (HEIGHT, WIDTH, 3)


def kinds_of_image(folder: Path) -> dict[str, Path]:
    """One file of every kind that cameras and editors write, all 90 x 60 and upright."""
    rng = np.random.default_rng(0)
    rgb = Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # is to be turned by a quarter
    rgb.convert("L").save(folder / "grey.png")
    rgb.convert("RGBA").save(folder / "rgba.png")
    rgb.convert("P").save(folder / "palette.png")
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(rng.integers(0, 65536, (HEIGHT, WIDTH), dtype=np.uint16)).save(folder / "sixteen.png")
    rgb.transpose(Image.Transpose.ROTATE_90).save(folder / "rotated.jpg", exif=exif)
    return {path.stem: path for path in folder.iterdir()}


def test_every_kind_of_image_is_read(cli: Cli, nano_bundle: Path, tmp_path: Path) -> None:
    files = kinds_of_image(tmp_path)
    assert len(files) == 6
    for name, path in files.items():
        code, out, err = cli("segment", nano_bundle, path, "--box", "5,6,80,50", "--json")
        assert code == 0, (name, err)
        assert json.loads(out)["size"] == [HEIGHT, WIDTH], name


@pytest.mark.parametrize("hw", [(1, 1), (2, 20_000)])
def test_images_of_odd_sizes(cli: Cli, sam_bundle: Path, tmp_path: Path, hw: tuple[int, int]) -> None:
    path = tmp_path / "odd.png"
    cv2.imwrite(str(path), np.full((*hw, 3), 120, np.uint8))
    code, out, err = cli("segment", sam_bundle, path, "--point", "0.5,0.5", "--json")
    assert code == 0, err
    assert json.loads(out)["size"] == list(hw)


def one_line(err: str) -> str:
    lines = [line for line in err.splitlines() if line.strip()]
    assert len(lines) == 1, err
    assert lines[0].startswith("masklet: error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to segment: give at least one of --point, --box and --mask"),
        (("--point", "@3:5,5"), "a prompt is for frame 3, but an image has only frame 0"),
        (("--point", "500,5"), "the point 500,5 lies outside the frame of 90x60 pixels"),
        (("--point", "5,5", "-o", "nowhere/mask.png"), "there is no folder nowhere"),
        (("--point", "5,5", "--all"), "--all is for --json"),
        (("--point", "300:5,5", "-o", "MASK"), "object id 300 is above 255"),
        (("--point", "5,5", "--overlay", "."), "is a folder; give a file"),
        (("--point", "5,5", "--overlay", "o.jpg"), "o.jpg: is written as PNG; give a name that ends in .png"),
        (("--point", "5,5", "-o", "m.gif"), "m.gif: is written as PNG; give a name that ends in .png"),
    ],
)
def test_bad_input_to_segment(
    cli: Cli, nano_bundle: Path, photo: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    given = [str(tmp_path / "mask.png") if word == "MASK" else word for word in words]
    code, out, err = cli("segment", nano_bundle, photo, *given)
    assert (code, out) == (2, "")
    assert said in one_line(err)


def test_files_that_are_no_image(cli: Cli, nano_bundle: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.png"
    text.write_text("no image")
    for path in (text, tmp_path / "missing.png", tmp_path):
        for verb in (("segment", nano_bundle, path, "--point", "1,1"), ("everything", nano_bundle, path)):
            code, _, err = cli(*verb)
            assert code == 2
            assert str(path) in one_line(err)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--points-per-side", 0), "points_per_side 0 is out of range; give 1 to 1024"),
        (("--points-per-side", 100_000), "points_per_side 100000 is out of range; give 1 to 1024"),
        (("--crop-layers", 7), "crop_layers 7 is out of range; give 0 to 4"),
        (("--min-area", -1), "min_area -1 is out of range; give 0 or more"),
        (("-o", "masks.txt"), "masks.txt: is written as JSON; give a name that ends in .json"),
    ],
)
def test_bad_input_to_everything(
    cli: Cli, nano_bundle: Path, photo: Path, words: tuple[object, ...], said: str
) -> None:
    code, out, err = cli("everything", nano_bundle, photo, *words)
    assert (code, out) == (2, "")
    assert said in one_line(err)


def test_an_image_model_does_not_track(cli: Cli, sam_bundle: Path, photo: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "o.mp4"
    code, _, err = cli("run", sam_bundle, photo, "--point", "5,5", "-o", overlay)
    assert code == 2
    assert "sam/custom has no memory: it segments images, not videos; use `masklet segment`" in one_line(err)
