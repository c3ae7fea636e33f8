"""VideoTracker against Meta's own SAM2VideoPredictor, with the trained weights that ship: every mask of every frame.

The long form, on more clips, is profiles/benchmarks/parity.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from apart import EDGETAM, SAM2
from edgetam_checkpoints import edgetam_config, random_edgetam
from evaluate import CHECKPOINT
from masklet.export.families import edgetam
from masklet.export.families.sam2 import FAMILY
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from meta_edgetam import meta_edgetam
from meta_video import SETTINGS, MetaTracker, Setting, play
from scenes import HELD_OUT_SEED, held_out, render
from torch_sessions import torch_sessions
from video_scripts import write_script

SAM2.require()
SCENES = (("plain", 1), ("cluttered", 0), ("rich", 2))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def sessions(trained_bundle: Path) -> Sessions:
    return Sessions.open(Bundle.load(trained_bundle), OnnxRuntime(threads=1))


@pytest.fixture(scope="module")
def model() -> Any:
    return FAMILY.load(str(CHECKPOINT), None)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_mask_is_the_one_of_meta(setting: Setting, sessions: Sessions, model: Any) -> None:
    """Clicks, boxes, masks, corrections, an object that joins late and one that leaves, forwards and backwards."""
    predictor, compared = setting.predictor(model), []
    for kind, seed in SCENES:
        clip = render(kind, HELD_OUT_SEED + seed, frames=17, objects=3)
        script = write_script(clip, seed, reverse=kind == "rich")
        theirs = MetaTracker(predictor, script.frames, reverse=script.reverse)
        compared += play(script, VideoTracker(sessions, setting.options), theirs)
    assert len(compared) > 110
    assert {one.moment for one in compared} == {"tracked", "prompted", "corrected"}
    assert sum(one.iou < 1.0 for one in compared) <= 1, "a pixel whose logit is almost 0 may fall either way"
    assert min(one.iou for one in compared) >= 0.99
    assert sum(one.tied for one in compared) < 10


def test_edgetam_tracks_as_its_authors_code_does() -> None:
    """Random weights, without the embeddings that the published ones lack. Its predictor is SAM 2's older one: what it
    does to the memories of other objects when one is corrected is another rule, so here is one object at a time."""
    EDGETAM.require()
    model = random_edgetam(edgetam_config(side=128, published=True))
    sessions, compared = torch_sessions(edgetam.FAMILY, model), []
    predictor = meta_edgetam(model, fill_hole_area=8)
    for seed, clip in enumerate(held_out("cluttered", 3, frames=17, objects=1)):
        script = write_script(clip, seed, reverse=seed == 1)
        theirs = MetaTracker(predictor, script.frames, reverse=script.reverse)
        compared += play(script, VideoTracker(sessions, TrackerOptions(pin_corrections=False)), theirs)
    assert len(compared) > 45
    assert {one.moment for one in compared} == {"tracked", "prompted", "corrected"}
    assert min(one.iou for one in compared) >= 0.999
