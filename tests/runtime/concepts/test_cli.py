"""`masklet run` and `masklet segment` with phrases and exemplars, on a bundle with random weights."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Cli
from masklet.runtime.concepts.concept import parse_concepts
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.tracker import ConceptTracker
from masklet.runtime.errors import PromptError
from noise_clip import HW, write_noise
from PIL import Image
from pycocotools import mask as coco

EASY = ("--min-score", "0.05", "--threads", "1")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight frames of smooth noise that moves."""
    return write_noise(tmp_path_factory.mktemp("clip"), frames=8)


def test_a_phrase_is_run_to_the_end(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks.jsonl"
    words = ("run", sam3_bundle, clip, "--text", "car", "--text", "a red bus", *EASY, "--masks", masks)
    code, _, err = cli(*words, "-o", tmp_path / "overlay.mp4")
    assert code == 0, err
    assert "8 frames" in err
    lines = [json.loads(line) for line in masks.read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(8))
    objects = [found for line in lines for found in line["objects"]]
    assert {found["phrase"] for found in objects} <= {"car", "a red bus"}
    assert objects
    for found in objects:
        assert 0 < found["score"] <= 1
        assert found["presence"] is None or 0 < found["presence"] < 1
        assert coco.decode(found["segmentation"]).shape == HW


def test_hotstart_does_not_change_which_frames_come(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    frames = {}
    for hotstart in (0, 4):
        masks = tmp_path / f"{hotstart}.jsonl"
        words = ("run", sam3_bundle, clip, "--text", "car", *EASY, "--hotstart", hotstart, "--masks", masks)
        assert cli(*words)[0] == 0
        frames[hotstart] = [json.loads(line)["frame"] for line in masks.read_text().splitlines()]
    assert frames[0] == frames[4] == list(range(8))


def test_what_a_phrase_may_hold(
    cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rules themselves are tested with the tracker."""
    given: list[ConceptOptions] = []

    class Noted(ConceptTracker):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            given.append(self._options)

    monkeypatch.setattr("masklet.runtime.cli.trackers.ConceptTracker", Noted)
    words = ("run", sam3_bundle, clip, "--text", "car", "--threads", 1, "--end", 1, "--masks", tmp_path / "m.jsonl")
    for limits in ((), ("--max-objects", 7, "--forget-after", 9)):
        code, _, err = cli(*words, *limits)
        assert code == 0, err
    assert given == [ConceptOptions(), ConceptOptions(max_objects=7, forget_after=9)]
    code, _, err = cli(*words, "--forget-after", "-1")
    assert code == 2
    assert "--forget-after" in err


def test_text_finds_and_points_refine(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    masks = tmp_path / "masks.jsonl"
    words = ("run", sam3_bundle, clip, "--text", "car", *EASY, "--point", "90@3:40,30", "--masks", masks)
    code, _, err = cli(*words)
    assert code == 0, err
    lines = [json.loads(line)["objects"] for line in masks.read_text().splitlines()]
    assert not any(found["id"] == 90 for objects in lines[:3] for found in objects)
    assert [found["score"] for objects in lines for found in objects if found["id"] == 90][:1] == [1.0]


def test_a_phrase_in_an_image(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    picture, ids = tmp_path / "picture.png", tmp_path / "ids.png"
    words = ("segment", sam3_bundle, clip / "0.png", "--text", "car", "--exemplar", "5,5,40,30", *EASY)
    code, out, err = cli(*words, "--overlay", picture, "-o", ids, "--json")
    assert code == 0, err
    said = json.loads(out)
    (concept,) = said["concepts"]
    assert concept["phrase"] == "car"
    assert concept["found"] == len(said["objects"]) > 0
    assert {found["phrase"] for found in said["objects"]} == {"car"}
    assert {found["presence"] for found in said["objects"]} == {concept["presence"]}
    assert Image.open(picture).size == Image.open(ids).size == (HW[1], HW[0])
    code, out, _ = cli("segment", sam3_bundle, clip / "0.png", "--text", "car", "--text", "dog", "--threads", "1")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["car", "dog"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--text", ""), "the phrase '' is empty"),
        (("--text", "car " * 40), "tokens long; the model reads 30"),
        (("--text", "猫"), "does not read '猫'"),
        (("--text", "car", "--text", "car"), "'car' is given twice"),
        (("--exemplar", "1,2,3"), "--exemplar 1,2,3: expected [+|-]X0,Y0,X1,Y1"),
        (("--exemplar", "30,2,3,9"), "--exemplar 30,2,3,9: box"),
        (("--exemplar", "0,0,90,50"), "exemplar: the box 0,0,90,50 reaches beyond the frame of 80x60"),
        (("--text", "car", "--text", "dog", "--exemplar", "0,0,9,9"), "--exemplar: ambiguous with 2 phrases"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "segment"])
def test_bad_input_ends_with_one_line(
    cli: Cli, sam3_bundle: Path, clip: Path, verb: str, words: tuple[str, ...], said: str
) -> None:
    source = clip if verb == "run" else clip / "0.png"
    code, out, err = cli(verb, sam3_bundle, source, *words, "--threads", "1")
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_points_and_text_in_one_call(cli: Cli, sam3_bundle: Path, clip: Path) -> None:
    code, _, err = cli("segment", sam3_bundle, clip / "0.png", "--text", "car", "--point", "3,4")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "give either" in err
    code, _, err = cli("run", sam3_bundle, clip, "--text", "car", "--point", "3,4")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "give them on a later frame" in err


def test_the_first_frame_backwards_is_the_last(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    words = ("run", sam3_bundle, clip, "--text", "car", "--reverse", "--end", "2", "--threads", "1")
    code, _, err = cli(*words, "--point", "1@1:3,4")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "give them on a later frame" in err
    code, _, err = cli(*words, "--point", "1@0:3,4", "--masks", tmp_path / "masks.jsonl", "--hotstart", "0")
    assert code == 0, err
    frames = [json.loads(line) for line in (tmp_path / "masks.jsonl").read_text().splitlines()]
    assert [frame["frame"] for frame in frames] == [1, 0]
    assert 1 in [each["id"] for each in frames[1]["objects"]]


def test_what_does_not_go_with_text(cli: Cli, sam3_bundle: Path, clip: Path, tmp_path: Path) -> None:
    code, _, err = cli("run", sam3_bundle, clip, "--text", "car", "--state", tmp_path / "state")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "leave out --state" in err
    code, _, err = cli("segment", sam3_bundle, clip / "0.png", "--text", "car", "--json", "--all")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--all is for points" in err
    code, _, err = cli("run", sam3_bundle, clip, "--exemplar", "0,0,9,9", "--exemplar", "-9,9,20,20")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "a video takes one exemplar" in err


@pytest.mark.parametrize("verb", ["run", "segment"])
def test_a_bundle_without_the_detector(cli: Cli, nano_bundle: Path, clip: Path, tmp_path: Path, verb: str) -> None:
    source = clip if verb == "run" else clip / "0.png"
    out = tmp_path / ("out.mp4" if verb == "run" else "out.png")
    code, _, err = cli(verb, nano_bundle, source, "--text", "car", "-o", out)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "has no concept detector" in err
    assert not out.exists()


def test_exemplars_have_a_sign() -> None:
    (concept,) = parse_concepts(["car"], ["1,2,3,4", "+1,2,3,4", "-1,2,3,4"])
    assert [exemplar.positive for exemplar in concept.exemplars] == [True, True, False]
    assert parse_concepts([], []) == ()
    with pytest.raises(PromptError, match="expected"):
        parse_concepts([], ["1,2,3,x"])
