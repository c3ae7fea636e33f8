"""The policy `last_seen` against its rule written down with every frame kept; and what an absence costs."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from masklet.runtime.backends.session import Feeds
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import PolicyError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.results import Frame
from masklet.runtime.tracking.policies.last_seen import LastSeenOptions
from masklet.runtime.tracking.video_tracker import VideoTracker
from memory_scripts import keep, random_script, toy_bank
from scripted_concepts import MODEL


@pytest.mark.parametrize("frames", [1, 2, 4])
def test_frames_with_the_object_are_attended_and_no_others(frames: int) -> None:
    """70 scripts of three objects that join one after another, at each setting."""
    absent = 0
    for seed in range(70):
        rng = np.random.default_rng(2000 + seed)
        bank, starts = toy_bank(LastSeenOptions(frames)), (0, 4, 9)
        scripts = {i: random_script(rng, 40, start) for i, start in enumerate(starts)}
        prompted: dict[int, list[int]] = {i: [] for i in scripts}
        with_it: dict[int, list[int]] = {i: [] for i in scripts}
        for time in range(40):
            bank.begin(time)
            for i, start in enumerate(starts):
                if time < start:
                    continue
                latest, seen_last = prompted[i][-8:], with_it[i][::-1]
                if time > start:
                    memories = {t: rank for rank, t in enumerate(seen_last[:frames])} | dict.fromkeys(latest, 6)
                    pointers = {t: rank for rank, t in enumerate(seen_last[:15], start=1)}
                    assert bank.attended(i) == (memories, pointers | {t: time - t for t in latest})
                seen = scripts[i][time - start].seen()
                keep(bank, i, seen)
                if seen.prompted:
                    prompted[i].append(time)
                elif seen.effective_iou > 0.01 and (seen.mask > 0).any():
                    with_it[i].append(time)
                else:
                    absent += 1
    assert absent > 300


class Stage:
    """A stage of the scripted model that gives zeros; the object is away from the fourth frame to the ninth."""

    def __init__(self, spec: StageSpec, calls: Counter[str], clock: list[int]) -> None:
        self.spec, self._calls, self._clock = spec, calls, clock

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self._calls[self.spec.name] += 1
        sizes = self.spec.check(feeds)
        out: dict[str, Any] = {t.name: np.zeros(t.sized(sizes), t.dtype) for t in self.spec.outputs}
        if self.spec.name == "mask_decoder":
            away = 4 <= self._clock[0] < 10
            out["object_score"] += -9 if away else 9
            out["iou"] += 0.9
            out["low_res_mask"] += -9 if away else 9
        return out

    def close(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize(("memory", "encoded"), [("sam2", 14), ("last_seen", 8)])
def test_a_frame_without_the_object_is_not_encoded(memory: str, encoded: int) -> None:
    calls, clock = Counter[str](), [0]
    sessions = Sessions(MODEL, {stage.name: Stage(stage, calls, clock) for stage in MODEL.stages})
    tracker = VideoTracker(sessions, memory=memory)
    for clock[0] in range(14):
        frame = Frame(clock[0], clock[0] / 10, np.zeros((64, 64, 3), np.uint8))
        tracker.step(frame, {1: Points.click(30, 30)} if clock[0] == 0 else None)
    assert calls["memory_encoder"] == encoded
    assert calls["memory_attention"] == calls["mask_decoder"] - 1 == 13


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(PolicyError, match="frames 0 is out of range; give 1 to 100"):
        LastSeenOptions(0)
    assert toy_bank("last_seen:frames=50").policy.slots.memories == 8 + 6
