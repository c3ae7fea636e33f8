"""VideoTracker against Meta's own SAM2VideoPredictor, with the trained weights that ship: every mask of every frame.

The long form, on more clips, is profiles/benchmarks/parity.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from evaluate import CHECKPOINT
from masklet.export.families.sam2 import FAMILY
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.tracking.video_tracker import VideoTracker
from meta_sam2 import require_sam2
from meta_video import SETTINGS, MetaTracker, Setting, play
from scenes import HELD_OUT_SEED, render
from video_scripts import write_script

require_sam2()
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
