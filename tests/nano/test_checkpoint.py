"""The checkpoint that ships, exported and run as a user would: accurate, correctable, and equal to its reference."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from clicks import centre_click, correction
from evaluate import CHECKPOINT, boxed_first, follow, opened
from masklet.calibration.scoring.accuracy import region_similarity
from masklet.runtime import Frame, Points, Sessions, TrackerOptions, VideoTracker
from masklet.runtime.prompts.prompts import Prompt
from reference_video import ReferenceTracker
from safetensors import safe_open
from scenes import Clip, held_out
from scoring import figures
from transformers import Sam2VideoModel

AS_REFERENCE = TrackerOptions(fill_hole_area=0, pin_corrections=False)


@pytest.fixture(scope="module")
def sessions(trained_bundle: Path) -> Iterator[Sessions]:
    with opened(trained_bundle, threads=1) as exported:
        yield exported


@pytest.fixture(scope="module")
def cluttered() -> list[Clip]:
    return list(held_out("cluttered", 6, frames=16))


def test_it_is_small_and_says_what_it_is() -> None:
    weights = CHECKPOINT / "model.safetensors"
    assert weights.stat().st_size <= 12 * 10**6
    with safe_open(weights, framework="numpy") as tensors:
        assert {str(tensors.get_tensor(name).dtype) for name in tensors.keys()} == {"float16"}  # noqa: SIM118
    assert "Apache-2.0" in (CHECKPOINT / "README.md").read_text()


def test_clicks_and_boxes_find_cluttered_objects(sessions: Sessions, cluttered: list[Clip]) -> None:
    tracks = [track for clip in cluttered for track in follow(sessions, clip)[0]]
    scored = figures(tracks, 1.0)
    assert scored.J_first >= 0.75
    assert scored.J >= 0.60
    assert np.mean([j for clip in cluttered for j in boxed_first(sessions, clip)]) >= 0.75


def test_a_lost_object_is_found_again(sessions: Sessions) -> None:
    tracks = [track for clip in held_out("plain", 6) for track in follow(sessions, clip)[0]]
    assert any(list(track.returns()) for track in tracks)
    assert figures(tracks, 1.0).recovery_rate >= 0.5


def test_a_correction_click_improves_its_frame(sessions: Sessions, cluttered: list[Clip]) -> None:
    before, after = [], []
    for clip in cluttered:
        tracker = VideoTracker(sessions)
        first = tracker.step(Frame(0, 0.0, clip.frames[0]), {i: Points.click(*_middle(clip, i)) for i in clip.ids})
        for row, label in enumerate(clip.ids):
            true = clip.labels[0] == label
            point, sign = correction(first.masks[row], true)
            both = Points(np.array([_middle(clip, label), point], np.float32), np.array([1, sign]))
            before.append(region_similarity(first.masks[row], true))
            after.append(region_similarity(tracker.refine(label, both).masks[row], true))
    assert np.mean(after) > np.mean(before) + 0.02


def test_the_loop_agrees_with_transformers_on_trained_weights(
    sessions: Sessions, cluttered: list[Clip], tmp_path: Path
) -> None:
    clip = cluttered[1]
    Sam2VideoModel.from_pretrained(CHECKPOINT, dtype=torch.float32).save_pretrained(tmp_path)
    ours, theirs = VideoTracker(sessions, AS_REFERENCE), ReferenceTracker(str(tmp_path))
    given: dict[int, Prompt] = {1: Points.click(*_middle(clip, 1)), 2: Points.click(*_middle(clip, 2))}
    agreement = []
    for index, picture in enumerate(clip.frames):
        prompts = given if index == 0 else {}
        masks = ours.step(Frame(index, index / 10, picture), prompts).masks
        logits = theirs.step(picture, prompts)
        for mask, low in zip(masks, logits.values(), strict=True):
            full = cv2.resize(low, mask.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0
            agreement.append(region_similarity(mask, full))
    assert np.mean(agreement) >= 0.999
    assert min(agreement) >= 0.98


def _middle(clip: Clip, label: int) -> tuple[float, float]:
    return centre_click(clip.labels[0] == label)


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_folder_with_a_missing_file_is_one_clear_line(
    missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from evaluate import main

    for name in {"config.json", "model.safetensors"} - {missing}:
        (tmp_path / name).write_bytes((CHECKPOINT / name).read_bytes())
    assert main([str(tmp_path), "--clips", "1"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert missing in error[-1] or str(tmp_path) in error[-1]
    assert "Traceback" not in "".join(error)
