"""Every format, read back by an independent reader: what was written is what the reader finds."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.convert.formats.labelstudio import brush_rle
from masklet.runtime.masks.label_pngs import LabelPngs
from masklet.runtime.masks.mask_lines import MaskLines
from masklet.runtime.pixels.geometry import BoolArray, boxes_xyxy
from masklet.runtime.prompts.prompt_file import PromptFile
from masklet.runtime.prompts.prompt_records import PromptRecord
from masklet.runtime.results import Finding, Frame, FrameResult
from masklet.runtime.sinks.json_lines import MasksJsonl
from mcap.reader import make_reader
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO
from skimage.draw import polygon2mask
from written_bags import STORE, TEXT, raw, write_mcap

HW, FRAMES, IDS = (48, 64), 3, (1, 2, 5)


def blobs(seed: int) -> BoolArray:
    """Three masks that do not overlap, of which the first has two parts and a hole; the last is empty on frame 1."""
    masks = np.zeros((len(IDS), *HW), bool)
    masks[0, 4 : 14 + seed, 3:16] = True
    masks[0, 8:10, 6:8] = False
    masks[0, 20:24, 3:9] = True
    masks[1, 10:30, 30 + seed : 50] = True
    if seed != 1:
        masks[2, 40:48, 50:64] = True
    return masks


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    path = tmp_path / "masks.jsonl"
    with MasksJsonl(path) as sink:
        for n in range(FRAMES):
            found, image = blobs(n), np.zeros((*HW, 3), np.uint8)
            scores = np.array([0.9, 0.8, 0.7], np.float32)
            phrases = (Finding("car", 0.9), Finding("bus & tram", 0.9), Finding(None, None))
            result = FrameResult(n, n / 30, np.array(IDS), found, boxes_xyxy(found), scores, phrases)
            sink.write(Frame(n, n / 30, image), result)
    return path


def converted(cli: Cli, masks: Path, to: str, suffix: str, *words: object) -> Path:
    code, said, errors = cli("convert", masks, "--to", to, *words)
    assert (code, errors) == (0, "")
    target = masks.with_name(f"masks{suffix}")
    assert str(target) in said
    return target


def expected() -> dict[tuple[int, int], BoolArray]:
    """Masks in sight, by frame and object id."""
    return {(n, i): mask for n in range(FRAMES) for i, mask in zip(IDS, blobs(n), strict=True) if mask.any()}


def assert_same(found: dict[tuple[int, int], Any]) -> None:
    wanted = expected()
    assert set(found) == set(wanted)
    assert all(np.array_equal(np.asarray(found[key], bool), mask) for key, mask in wanted.items())


def test_coco_is_read_by_pycocotools(cli: Cli, masks: Path) -> None:
    dataset = COCO(converted(cli, masks, "coco", ".coco.json", "--images", "clip_{frame:03d}.png"))
    frame_of = {one["id"]: one["frame_id"] for one in dataset.dataset["images"]}
    assert [one["file_name"] for one in dataset.dataset["images"]] == [f"clip_{n:03d}.png" for n in range(FRAMES)]
    found = {(frame_of[one["image_id"]], one["track_id"]): dataset.annToMask(one) for one in dataset.anns.values()}
    assert_same(found)
    for one in dataset.anns.values():
        mask = dataset.annToMask(one)
        assert one["area"] == mask.sum()
        assert one["bbox"] == coco_masks.toBbox(coco_masks.encode(np.asfortranarray(mask))).tolist()
        assert one["iscrowd"] == 0
    assert {one["name"] for one in dataset.loadCats(dataset.getCatIds())} == {"bus & tram", "car", "object"}


def test_names_in_a_prompts_file_become_labels(cli: Cli, masks: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.json"
    record = PromptRecord(frame=0, object=5, points=[(1, 2)])
    prompts.write_bytes(PromptFile(names={5: "left cup"}, prompts=[record]).encode())
    dataset = COCO(converted(cli, masks, "coco", ".coco.json", "--prompts", prompts))
    labels = {one["track_id"]: dataset.cats[one["category_id"]]["name"] for one in dataset.anns.values()}
    assert labels == {1: "car", 2: "bus & tram", 5: "left cup"}


def test_davis_is_read_as_prompts_and_truth_are(cli: Cli, masks: Path) -> None:
    pngs = LabelPngs(converted(cli, masks, "davis", ".davis"))
    assert_same({(n, i): mask for n in pngs.frames for i, mask in (pngs.masks(n) or {}).items()})


def test_mots_is_read_line_by_line(cli: Cli, masks: Path) -> None:
    found = {}
    for line in converted(cli, masks, "mots", ".mots.txt").read_text().splitlines():
        frame, object_id, label, height, width, rle = line.split(" ")
        assert int(object_id) // 1000 == int(label)
        mask = coco_masks.decode({"size": [int(height), int(width)], "counts": rle.encode()})
        found[int(frame), int(object_id) % 1000] = mask
    assert_same(found)


def test_yolo_polygons_cover_the_masks(cli: Cli, masks: Path) -> None:
    folder = converted(cli, masks, "yolo", ".yolo")
    names = (folder / "data.yaml").read_text()
    assert '0: "bus & tram"\n  1: "car"\n  2: "object"' in names
    for n in range(FRAMES):
        lines = (folder / "labels" / f"{n:05d}.txt").read_text().splitlines()
        wanted = [mask for (frame, _), mask in expected().items() if frame == n]
        assert len(lines) == len(wanted)
        for line, mask in zip(lines, wanted, strict=True):
            numbers = np.array(line.split()[1:], float).reshape(-1, 2) * HW[::-1]
            assert ((numbers >= 0) & (numbers <= HW[::-1])).all()
            drawn = polygon2mask(HW, numbers[:, ::-1] + 0.01) | mask  # the outline runs through its pixels' corners
            assert mask.sum() / drawn.sum() > 0.85


def test_yolo_is_read_by_supervision(cli: Cli, masks: Path) -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    folder = converted(cli, masks, "yolo", ".yolo", "--images", "{frame:05d}.png")
    (folder / "images").mkdir()
    for n in range(FRAMES):
        Image.fromarray(np.zeros((*HW, 3), np.uint8)).save(folder / "images" / f"{n:05d}.png")
    places = (folder / "images", folder / "labels", folder / "data.yaml")
    dataset = supervision.DetectionDataset.from_yolo(*map(str, places), force_masks=True)
    assert dataset.classes == ["bus & tram", "car", "object"]
    labels = {1: "car", 2: "bus & tram", 5: "object"}
    for path, _, found in dataset:
        n = int(Path(path).stem)
        for (frame, object_id), mask in expected().items():
            if frame == n:
                [drawn] = found.mask[found.class_id == dataset.classes.index(labels[object_id])]
                assert mask.sum() / (drawn | mask).sum() > 0.85  # its hole is filled
                assert (drawn & mask).sum() / mask.sum() > 0.85


def test_cvat_runs_lie_in_their_boxes(cli: Cli, masks: Path) -> None:
    found = {}
    root = ElementTree.parse(converted(cli, masks, "cvat", ".cvat.xml")).getroot()
    for image in root.iter("image"):
        for one in image.iter("mask"):
            left, top, width, height = (int(one.get(name, "")) for name in ("left", "top", "width", "height"))
            runs = [int(run) for run in one.get("rle", "").split(",")]
            inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
            mask = np.zeros(HW, bool)
            mask[top : top + height, left : left + width] = inside
            found[int(image.get("id", "")), int(one.get("group_id", ""))] = mask
    assert_same(found)
    assert [one.text for one in root.iterfind("meta/task/labels/label/name")] == ["bus & tram", "car", "object"]


@pytest.mark.parametrize(("to", "name"), [("coco", "coco_instances"), ("cvat", "cvat")])
def test_datumaro_reads_it(cli: Cli, masks: Path, tmp_path: Path, to: str, name: str) -> None:
    datumaro = pytest.importorskip("datumaro", reason="datumaro is not installed: it wants an older OpenCV")
    folder = tmp_path / "dataset"
    pictures = folder / ("images/all" if to == "coco" else "images")
    (folder / "annotations").mkdir(parents=True)
    pictures.mkdir(parents=True)
    for n in range(FRAMES):
        Image.fromarray(np.zeros((*HW, 3), np.uint8)).save(pictures / f"{n:05d}.png")
    path = folder / ("annotations/instances_all.json" if to == "coco" else "all.xml")
    suffix = ".coco.json" if to == "coco" else ".cvat.xml"
    converted(cli, masks, to, suffix, "--images", "{frame:05d}.png").rename(path)
    found: dict[int, list[BoolArray]] = {}
    for item in datumaro.Dataset.import_from(str(folder), name):
        found[int(item.id)] = [np.asarray(one.image, bool) for one in item.annotations if hasattr(one, "image")]
    for n in range(FRAMES):
        wanted = [mask for (frame, _), mask in expected().items() if frame == n]
        assert len(found[n]) == len(wanted)
        assert all(any(np.array_equal(mask, one) for one in found[n]) for mask in wanted)


def masks_in(path: Path) -> dict[tuple[int, int], BoolArray]:
    lines = MaskLines(path)
    return {(n, i): mask for n in lines.frames for i, mask in (lines.masks(n) or {}).items() if mask.any()}


@pytest.mark.parametrize(
    ("to", "suffix", "labels"),
    [
        ("coco", ".coco.json", {"car", "bus & tram", None}),
        ("cvat", ".cvat.xml", {"car", "bus & tram", None}),
        ("davis", ".davis", {None}),
        ("labelstudio", ".labelstudio.json", {"car", "bus & tram", None}),
        ("mcap", ".mcap", {"car", "bus & tram", None}),
        ("mots", ".mots.txt", {"class 1", "class 2", "class 3"}),
    ],
)
def test_there_and_back_again(cli: Cli, masks: Path, to: str, suffix: str, labels: set[str | None]) -> None:
    """Masks, ids and, where the format has them, labels are what they were."""
    there = converted(cli, masks, to, suffix)
    back = masks.with_name("back.jsonl")
    code, _, errors = cli("convert", there, "--from", to, "--to", "masks", "-o", back)
    assert (code, errors) == (0, "")
    assert_same(masks_in(back))
    assert {one.phrase for line in MaskLines(back) for one in line.objects} == labels


def test_mcap_has_the_messages_of_a_run_and_every_line_exactly(cli: Cli, masks: Path, tmp_path: Path) -> None:
    """Invisible objects, phrases, moved masks and times are in the line of a frame as they were written."""
    lines = [json.loads(line) for line in masks.read_text().splitlines()]
    lines[2]["objects"][0]["stale"] = 2
    masks.write_text("".join(json.dumps(line) + "\n" for line in [*lines, {"frame": 9, "time_s": 0.3, "objects": []}]))
    bag = converted(cli, masks, "mcap", ".mcap")
    with bag.open("rb") as file:
        found = [(channel.topic, message) for _, channel, message in make_reader(file).iter_messages()]
    assert {topic for topic, _ in found} == {f"/masklet/{n}" for n in ("ids", "detections", "annotations", "objects")}
    kept = [message for topic, message in found if topic == "/masklet/objects"]
    texts = [STORE.deserialize_cdr(message.data, TEXT).data for message in kept]
    assert [json.loads(text) for text in texts] == [json.loads(line) for line in masks.read_text().splitlines()]
    assert [message.log_time for message in kept] == [0, 33_333_000, 66_667_000, 300_000_000]
    back = tmp_path / "back.jsonl"
    assert cli("convert", bag, "--from", "mcap", "--to", "masks", "-o", back)[0] == 0
    assert [(line.frame, line.time_s) for line in MaskLines(back)] == [
        (n, t["time_s"]) for n, t in enumerate(lines)
    ] + [(9, 0.3)]


def test_an_mcap_of_something_else_is_refused(cli: Cli, tmp_path: Path) -> None:
    camera = raw(np.zeros((8, 8, 3), np.uint8), "rgb8", 0)
    bag = write_mcap(tmp_path / "drive.mcap", [camera])
    code, _, said = cli("convert", bag, "--from", "mcap", "--to", "masks")
    assert (code, said.count("\n")) == (2, 1)
    assert "has no topic /masklet/objects, which `masklet run --mcap` writes" in said


def test_corrections_by_polygon_and_without_a_compression_are_read(cli: Cli, tmp_path: Path) -> None:
    square = [4.0, 4.0, 12.0, 4.0, 12.0, 12.0, 4.0, 12.0]
    wanted = np.zeros((16, 16), bool)
    wanted[4:12, 4:12] = True
    runs = np.diff([0, *(np.flatnonzero(np.diff(wanted.T.ravel().view(np.int8))) + 1).tolist(), 256]).tolist()
    image = {"id": 7, "file_name": "shot_00003.png", "height": 16, "width": 16}
    kept = {"image_id": 7, "category_id": 1, "attributes": {"track_id": 2}, "bbox": [4, 4, 8, 8]}
    for segmentation in ([square], {"size": [16, 16], "counts": runs}):
        annotations = [{"id": 1, "segmentation": segmentation, **kept}]
        dataset = {"images": [image], "categories": [{"id": 1, "name": "cup"}], "annotations": annotations}
        path = tmp_path / "corrected.json"
        path.write_text(json.dumps(dataset))
        assert cli("convert", path, "--from", "coco", "--to", "masks", "--force")[0] == 0
        [(key, mask)] = masks_in(path.with_suffix(".jsonl")).items()
        assert key == (3, 2)
        assert np.array_equal(mask, wanted)
    points = ";".join(f"{x},{y}" for x, y in np.reshape(square, (-1, 2)).tolist())
    shape = f'<polygon label="cup" group_id="2" points="{points}"/>'
    xml = f'<annotations><image id="9" name="cup.png" width="16" height="16">{shape}</image></annotations>'
    path = tmp_path / "corrected.xml"
    path.write_text(xml)
    assert cli("convert", path, "--from", "cvat", "--to", "masks", "--force")[0] == 0
    [(key, mask)] = masks_in(path.with_suffix(".jsonl")).items()
    assert key == (9, 2)
    assert np.array_equal(mask, wanted)


@pytest.mark.parametrize(
    ("of", "text", "says"),
    [
        ("yolo", "", "--from yolo: has no ids of objects"),
        ("nothing", "", "--from nothing: no such format"),
        ("coco", "{", "is not read as coco"),
        ("coco", '{"images": [], "annotations": [{"id": 1}], "categories": []}', "is not read as coco"),
        ("cvat", "<annotations>", "is not read as cvat"),
        ("cvat", '<a><image id="0" name="0" width="4" height="4"><mask rle="16"/></image></a>', "no group"),
        ("mots", "1 2 3\n", "line 1: wanted"),
        ("mots", "0 1001 1 4 4 0\n", "do not fill"),
        ("labelstudio", '[{"data": {}}]', "is not read as labelstudio"),
        ("davis", "", "no masks"),
        ("mcap", "no bag", "/masklet/objects: the bag is damaged"),
    ],
)
def test_what_cannot_be_read_is_one_line(cli: Cli, tmp_path: Path, of: str, text: str, says: str) -> None:
    path = tmp_path / ("given.mcap" if of == "mcap" else "given")
    path.write_text(text)
    code, _, said = cli("convert", path, "--from", of, "--to", "masks")
    assert (code, said.count("\n")) == (2, 1)
    assert says in said
    assert list(tmp_path.iterdir()) == [path]


class Bits:
    def __init__(self, data: bytes) -> None:
        self._text, self._at = "".join(f"{byte:08b}" for byte in data), 0

    def read(self, count: int) -> int:
        self._at += count
        return int(self._text[self._at - count : self._at], 2)


def unpacked(data: bytes) -> list[int]:
    """What thi.ng/umbrella's rle-pack unpacks (packages/rle-pack/src/index.ts), repeated values and single ones."""
    bits = Bits(data)
    count, word = bits.read(32), bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        repeated = bits.read(1)
        length = bits.read(sizes[bits.read(2)]) + 1
        values += [bits.read(word)] * length if repeated else [bits.read(word) for _ in range(length)]
    return values


def test_label_studio_unpacks_its_brushes(cli: Cli, masks: Path) -> None:
    path = converted(
        cli, masks, "labelstudio", ".labelstudio.json", "--images", "/data/local-files/?d=clip/{frame}.jpg"
    )
    found = {}
    for task in json.loads(path.read_text()):
        for one in task["predictions"][0]["result"]:
            values = unpacked(bytes(one["value"]["rle"]))
            picture = np.array(values).reshape(one["original_height"], one["original_width"], 4)
            frame, object_id = map(int, one["id"].split("-"))
            assert task["data"]["image"] == f"/data/local-files/?d=clip/{frame}.jpg"
            found[frame, object_id] = picture[:, :, 3] > 0
    assert_same(found)
    labels = [one.get("value") for one in ElementTree.parse(path.with_suffix(".xml")).iter("Label")]
    assert labels == ["bus & tram", "car", "object"]


def test_a_long_run_is_packed_in_parts() -> None:
    mask = np.zeros((300, 300), bool)
    mask[10:] = True
    assert unpacked(brush_rle(mask)) == np.repeat(mask.ravel(), 4).astype(int).__mul__(255).tolist()


def test_detections_of_supervision() -> None:
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    found = blobs(1)
    phrases = (Finding("car", 0.9), Finding("bus", 0.9), Finding("car", 0.9))
    scores = np.array([0.9, 0.8, 0.7], np.float32)
    plain = FrameResult(0, 0.0, np.array(IDS), found, boxes_xyxy(found), scores)
    detections = plain.to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert detections.tracker_id.tolist() == [1, 2], "what is out of sight is no detection"
    assert np.array_equal(detections.mask, found[:2])
    assert np.array_equal(detections.xyxy - np.array([0, 0, 1, 1]), supervision.mask_to_xyxy(found[:2]))
    named = FrameResult(0, 0.0, np.array(IDS), found, boxes_xyxy(found), scores, phrases).to_supervision()
    assert named.class_id.tolist() == [1, 0]
    assert named.data["class_name"].tolist() == ["car", "bus"]
    nothing = FrameResult(0, 0.0, np.zeros(0, np.int64), found[:0], boxes_xyxy(found[:0]), scores[:0])
    assert len(nothing.to_supervision()) == 0


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def other_size(path: Path) -> None:
    line = json.loads(path.read_text().splitlines()[0])
    line["objects"] = [{**line["objects"][0], "segmentation": {"size": [2, 2], "counts": "4"}}]
    path.write_text(path.read_text() + json.dumps(line) + "\n")


@pytest.mark.parametrize(
    ("words", "spoil", "says"),
    [
        (
            ["--to", "nothing"],
            None,
            "no such format; there are coco, cvat, davis, labelstudio, masks, mcap, mots, yolo",
        ),
        (["--to", "coco", "--images", "{nope}"], None, "--images {nope}: wanted a name such as {frame:05d}.jpg"),
        (["--to", "coco", "-o", "nowhere/x.json"], None, "there is no folder nowhere"),
        (["--to", "coco"], lambda path: path.write_text(""), "holds no frame"),
        (["--to", "coco"], lambda path: path.write_text('{"frame": 0, "objects": []}\n'), "holds no mask"),
        (["--to", "yolo"], cut_off, "line 3 is none"),
        (["--to", "cvat"], other_size, "masks of several sizes"),
        (["--to", "davis", "-o", "{masks}", "--force"], None, "is a file; davis is a folder"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    cli: Cli, masks: Path, words: list[str], spoil: Callable[[Path], object] | None, says: str
) -> None:
    if spoil is not None:
        spoil(masks)
    before = sorted(masks.parent.rglob("*"))
    code, _, said = cli("convert", masks, *(word.replace("{masks}", str(masks)) for word in words))
    assert (code, said.count("\n")) == (2, 1)
    assert says in said
    assert sorted(masks.parent.rglob("*")) == before


def test_what_is_there_stays_unless_told(cli: Cli, masks: Path) -> None:
    converted(cli, masks, "davis", ".davis")
    code, _, said = cli("convert", masks, "--to", "davis")
    assert code == 2
    assert "--force replaces it" in said
    converted(cli, masks, "davis", ".davis", "--force")
