"""EfficientTAM: its names, files, stages and tracking against its authors' own classes, and a small one exported."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apart import EFFICIENTTAM
from efficienttam_checkpoints import WIDTHS, efficienttam_config, random_efficienttam, write_small_yaml
from masklet.export import parity
from masklet.export.checkpoints.pretrained import fingerprint
from masklet.export.checkpoints.recognise import FileOptions
from masklet.export.checkpoints.settings import Settings
from masklet.export.families.efficienttam import ATTENTION, FAMILY
from masklet.export.families.layouts.efficienttam import SUFFIXES
from masklet.export.family import Case, ExportStage
from masklet.export.known_families import family_of, open_checkpoint
from masklet.export.pipeline import export_bundle
from masklet.export.references.efficienttam_model import COUNTED, PLAIN, EfficientTamConfig, EfficientTamModel
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import ExportError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.results import Frame
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from meta_efficienttam import meta_efficienttam
from meta_stages import STAGES, run_stage
from meta_video import MetaTracker, play
from scenes import held_out
from torch_sessions import TorchSession, torch_sessions
from two_discs import two_discs
from video_scripts import write_script
from weights_files import layout, their_weights, write_file

EXACT = {
    "image_encoder": 1e-5,
    "memory_attention": 1e-5,
    "mask_decoder": 1e-4,
    "memory_encoder": 2e-4,  # after rounding to bfloat16, which turns 1e-7 into 4e-3 here and there
    "mask_prompt_encoder": 1e-6,
}
KINDS = (PLAIN, *ATTENTION)
FULL = Case("2 objects, 7 memories, 16 pointers", {"objects": 2, "memories": 7, "pointers": 16})


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def relative(got: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> float:
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("size", WIDTHS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_are_a_bijection_and_the_file_says_the_size(size: str, suffix: str) -> None:
    EFFICIENTTAM.require()
    side, attention = SUFFIXES[suffix]
    wanted, found = efficienttam_config(size, side=side, attention=attention), layout("efficienttam")
    model = EfficientTamModel(wanted)
    theirs = meta_efficienttam(model).state_dict()  # its keys are all there, or it would not have loaded
    assert found.names.unmapped(theirs) == []
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.items()}
    config = found.configure(shapes, Settings(stem=f"efficienttam_{size}{suffix}"))
    assert EfficientTamConfig.from_dict(config).to_dict() == wanted.to_dict()
    mapped = found.names.forward(theirs)
    assert {n: t.shape for n, t in mapped.items()} == {n: t.shape for n, t in model.state_dict().items()}
    assert found.names.backward(mapped).keys() == theirs.keys()


@pytest.mark.parametrize("attention", KINDS)
@pytest.mark.parametrize("name", STAGES)
def test_stages_are_the_authors(name: str, attention: str) -> None:
    """Windows of 3 do not divide the map of 8 cells; position encodings of 6 x 6 are stretched to it."""
    EFFICIENTTAM.require()
    if attention != PLAIN and name != "memory_attention":
        return
    model = random_efficienttam(efficienttam_config(attention=attention))
    stage = next(stage for stage in FAMILY.stages(model) if stage.spec.name == name)
    predictor = meta_efficienttam(model)
    for case in (*stage.cases[:5], *([FULL] if name == "memory_attention" else [])):
        _compare(stage, predictor, case)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["image_encoder", "memory_attention", "mask_decoder"])
def test_stages_of_published_dimensions_are_the_authors(name: str) -> None:
    EFFICIENTTAM.require()
    model = random_efficienttam(efficienttam_config("ti", side=512, attention=COUNTED))
    stage = next(stage for stage in FAMILY.stages(model) if stage.spec.name == name)
    _compare(stage, meta_efficienttam(model), stage.cases[0])


def _compare(stage: ExportStage, predictor: Any, case: Case) -> None:
    seed = next(s for s in range(50) if stage.decided(stage.reference(stage.feeds(case, s))))
    feeds = stage.feeds(case, seed)
    got, wanted = TorchSession(stage).run(feeds), run_stage(predictor, stage.spec.name, feeds)
    assert wanted
    for output, theirs in wanted.items():
        rounded = parity.to_bfloat16(theirs) if output in stage.rounded else theirs
        assert relative(got[output], rounded) <= EXACT[stage.spec.name], (case.name, output)
        ours = stage.reference(feeds)[output]
        assert relative(ours, theirs) <= EXACT[stage.spec.name], "the reference that the export is compared with"


@pytest.mark.parametrize("attention", KINDS)
def test_it_tracks_as_its_authors_code_does(attention: str) -> None:
    """Its predictor is SAM 2's older one, as EdgeTAM's is, and takes no objects once it tracks: one at a time."""
    EFFICIENTTAM.require()
    model = random_efficienttam(efficienttam_config(attention=attention))
    sessions, predictor, compared = torch_sessions(FAMILY, model), meta_efficienttam(model, fill_hole_area=8), []
    for seed, clip in enumerate(held_out("cluttered", 2, frames=17, objects=1)):
        script = write_script(clip, seed, reverse=seed == 1)
        theirs = MetaTracker(predictor, script.frames, reverse=script.reverse)
        compared += play(script, VideoTracker(sessions, TrackerOptions(pin_corrections=False)), theirs)
    assert len(compared) > 30
    assert {one.moment for one in compared} == {"tracked", "prompted", "corrected"}
    ious = [one.iou for one in compared]
    assert sum(iou < 1.0 for iou in ious) <= len(ious) // 5, "random logits are near 0 here and there"
    assert min(ious) >= 0.998, "three pixels of 2,050"


def test_a_file_is_exported_and_tracks(tmp_path: Path) -> None:
    model = random_efficienttam(efficienttam_config(attention=COUNTED))
    model.save_pretrained(tmp_path / "folder")
    path = write_file(tmp_path / "small.pt", their_weights("efficienttam", model))
    options = FileOptions(config=write_small_yaml(tmp_path / "small.yaml", COUNTED))
    loaded = FAMILY.load(open_checkpoint(str(path), options), None)
    assert fingerprint(loaded) == fingerprint(FAMILY.load(str(tmp_path / "folder"), None))
    export_bundle(str(path), tmp_path / "bundle", options=options)
    bundle = Bundle.load(tmp_path / "bundle")
    parity.require(bundle.manifest.parity)
    assert (bundle.model.family, bundle.model.variant) == ("efficienttam", "custom-1")
    frames = [frame.image for frame in two_discs(4, 128, (35, 40, 14), (80, 70, 18))]
    played, wanted = VideoTracker(bundle), VideoTracker(torch_sessions(FAMILY, model))
    for time, image in enumerate(frames):
        prompts = {1: Points.click(35, 40), 2: Points.click(80, 70)} if time == 0 else {}
        got, want = (tracker.step(Frame(time, time / 30, image), prompts) for tracker in (played, wanted))
        assert (got.masks == want.masks).mean() > 0.999
    predictor = ImagePredictor(bundle)
    predictor.set_image(frames[0])
    assert predictor.predict(Points.click(35, 40), choice="all").masks.shape[-2:] == (128, 128)


def test_what_weights_do_not_say_has_to_be_given(tmp_path: Path) -> None:
    path = write_file(tmp_path / "mine.pt", their_weights("efficienttam", random_efficienttam(efficienttam_config())))
    with pytest.raises(ExportError, match=r"under a name of its own.*--config"):
        open_checkpoint(str(path))
    path = path.rename(tmp_path / "efficienttam_ti.pt")
    with pytest.raises(ExportError, match=r"of no published size \(width 32, 4 blocks\).*--config"):
        open_checkpoint(str(path))
    loaded = FAMILY.load(open_checkpoint(str(path), FileOptions(config=write_small_yaml(tmp_path / "a.yaml"))), 96)
    assert FAMILY.spec(loaded).preprocess.side == 96
    with pytest.raises(ExportError, match="image size 100 is not a multiple of 32; the nearest is 96"):
        FAMILY.load(open_checkpoint(str(path), FileOptions(config=tmp_path / "a.yaml")), 100)
    assert family_of("efficienttam", "x") is FAMILY
