"""SAMURAI's policy against the authors' rules written down with every frame kept, on random scripts."""

from typing import Any

import numpy as np
import pytest
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PolicyError
from masklet.runtime.tracking.memory_policy import Choice
from masklet.runtime.tracking.policies.samurai import SamuraiOptions
from memory_scripts import Shot, keep, random_script, toy_bank
from scipy.linalg import cho_factor, cho_solve

MOTION = np.block([[np.eye(4), np.eye(4)], [np.zeros((4, 4)), np.eye(4)]])


def deviations(height: float, place: float, speed: float) -> Tensor:
    return np.array([place * height] * 2 + [1e-2, place * height] + [speed * height] * 2 + [1e-5, speed * height])


class Filter:
    """The eight-dimensional filter of sam2/utils/kalman_filter.py, by its formulas."""

    def __init__(self, box: Tensor) -> None:
        self.mean = np.r_[box, np.zeros(4)]
        self.covariance = np.diag(deviations(box[3], 2 / 20, 10 / 160) ** 2)

    def predict(self) -> None:
        noise = np.diag(deviations(self.mean[3], 1 / 20, 1 / 160) ** 2)
        self.mean, self.covariance = MOTION @ self.mean, MOTION @ self.covariance @ MOTION.T + noise

    def update(self, box: Tensor) -> None:
        height = self.mean[3]
        projected = self.covariance[:4, :4] + np.diag(np.array([height / 20, height / 20, 1e-1, height / 20]) ** 2)
        gain = cho_solve(cho_factor(projected), self.covariance[:4]).T
        self.mean = self.mean + gain @ (box - self.mean[:4])
        self.covariance = self.covariance - gain @ projected @ gain.T

    def iou(self, box: Tensor) -> float:
        if not box.any():
            return 0.0
        x, y, aspect, height = self.mean[:4]
        mine = np.array([x - aspect * height / 2, y - height / 2, x + aspect * height / 2, y + height / 2])
        low, high = np.maximum(mine[:2], box[:2]), np.minimum(mine[2:], box[2:])
        both = float(np.prod(np.maximum(0, high - low)))
        return both / float(np.prod(mine[2:] - mine[:2]) + np.prod(box[2:] - box[:2]) - both)


def box_of(mask: Tensor) -> Tensor:
    """First and last pixel of the mask, four times enlarged; zeros without one."""
    y, x = np.nonzero(mask.repeat(4, axis=0).repeat(4, axis=1))
    return np.array([x.min(), y.min(), x.max(), y.max()], float) if len(x) else np.zeros(4)


def as_measured(box: Tensor) -> Tensor:
    height = box[3] - box[1] or 1.0
    return np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2, (box[2] - box[0]) / height, height])


def candidate_of(choice: Choice | None) -> int | None:
    return None if choice is None else choice.candidate


class Theirs:
    """One object: sam2_base.py 395-497 chooses, 657-690 attends. Masks of absent objects are blank, as theirs are."""

    def __init__(self) -> None:
        self.filter: Filter | None = None
        self.stable = 0
        self.cond: set[int] = set()
        self.non_cond: dict[int, tuple[float, float, float | None]] = {}  # IoU, score, motion score

    def choose(self, shot: Shot) -> tuple[int, bool, float]:
        """The candidate, whether it is shown, and how sure the choice is."""
        shown = shot.score > -1
        scores = np.array(shot.ious, np.float64)
        if self.filter is not None and self.stable >= 15:
            ahead = Filter(np.zeros(4))
            ahead.mean, ahead.covariance = self.filter.mean, self.filter.covariance
            ahead.predict()
            motion = np.array([ahead.iou(box_of(mask)) if shown else 0.0 for mask in shot.masks])
            scores = 0.25 * motion + 0.75 * scores
        first, second = np.sort(scores)[::-1][:2]
        return int(np.argmax(scores)), shown, float(first - second)

    def see(self, time: int, shot: Shot, chosen: int, shown: bool) -> None:
        if shot.prompted:
            best = int(np.argmax(shot.ious))
            self.filter, self.stable = Filter(as_measured(box_of(shot.masks[best]))), 1
            self.cond.add(time)
            return
        box = box_of(shot.masks[chosen]) if shown else np.zeros(4)
        iou, motion = float(shot.ious[chosen]), None
        if self.filter is None or self.stable == 0:
            self.filter, self.stable = Filter(as_measured(box)), 1
        elif self.stable < 15:
            self.filter.predict()
            if iou > 0.3:
                self.filter.update(as_measured(box))
                self.stable += 1
            else:
                self.stable = 0
        else:
            self.filter.predict()
            motion = self.filter.iou(box)
            if iou < 0.3:
                self.stable = 0
            else:
                self.filter.update(as_measured(box))
        self.non_cond[time] = iou, shot.score, motion

    def attended(self, now: int) -> tuple[dict[int, int], dict[int, int]]:
        valid: list[int] = []
        for earlier in range(now - 1, -1, -1):
            if earlier not in self.non_cond:
                continue
            iou, score, motion = self.non_cond[earlier]
            if iou > 0.5 and score > 0 and (motion is None or motion > 0):
                valid.insert(0, earlier)
            if len(valid) >= 15:
                break
        if now - 1 not in valid:
            valid.append(now - 1)
        latest = sorted(self.cond)[-8:]
        memories = dict.fromkeys(latest, 6)
        for position in range(1, 7):
            index = position - 7
            if index >= -len(valid) and (valid[index] in self.non_cond or valid[index] in self.cond - set(latest)):
                memories[valid[index]] = 7 - position - 1
        pointers = {t: now - t for t in latest}
        pointers |= {now - d: d for d in range(1, 16) if now - d in self.non_cond}
        return memories, pointers


def test_candidates_and_frames_are_those_of_theirs() -> None:
    """201 scripts; a choice that rounding may turn over is left out, and the script ended there."""
    others = resets = shown_below = 0
    for seed in range(67):
        rng = np.random.default_rng(1000 + seed)
        bank, starts = toy_bank("samurai"), {0: 0, 1: 2, 2: 9}
        scripts = {i: random_script(rng, 60, start) for i, start in starts.items()}
        theirs = {i: Theirs() for i in scripts}
        for time in range(60):
            bank.begin(time)
            for i, start in list(starts.items()):
                if time < start:
                    continue
                shot, reference = scripts[i][time - start], theirs[i]
                if time > start:
                    assert bank.attended(i) == reference.attended(time), (seed, i, time)
                chosen, shown, margin = reference.choose(shot)
                if margin < 1e-4:
                    del starts[i]
                    continue
                seen = shot.seen()
                best = int(np.argmax(shot.ious))
                if not shot.prompted:
                    choice = candidate_of(bank.choose(i, seen))
                    assert (chosen if choice is None else choice) == chosen
                    assert shown == (choice is not None or shot.score > 0)
                    seen = shot.seen(choice)
                    others, shown_below = others + (chosen != best), shown_below + (shown and shot.score <= 0)
                keep(bank, i, seen)
                before = reference.stable
                reference.see(time, shot, chosen, shown)
                resets += reference.stable < before
    assert others > 100
    assert resets > 50
    assert shown_below > 100


def test_it_goes_on_from_a_snapshot() -> None:
    bank = toy_bank("samurai")
    for shot in random_script(np.random.default_rng(7), 300):
        if shot.time == 150:
            again = toy_bank("samurai")
            again.restore(bank.snapshot())
        bank.begin(shot.time)
        if shot.time < 150:
            keep(bank, 1, shot.seen(None if shot.prompted else candidate_of(bank.choose(1, shot.seen()))))
            continue
        again.begin(shot.time)
        assert again.attended(1) == bank.attended(1)
        choice = None if shot.prompted else candidate_of(bank.choose(1, shot.seen()))
        assert choice == (None if shot.prompted else candidate_of(again.choose(1, shot.seen())))
        for each in (bank, again):
            keep(each, 1, shot.seen(choice))
    saved = bank.snapshot().objects[0]
    assert len(saved.spatial.times) - 1 <= bank.policy.slots.memories
    assert len(saved.pointers.times) - 1 <= bank.policy.slots.pointers


@pytest.mark.parametrize("given", [{"motion_weight": 1.5}, {"stable_frames": 0}, {"min_object_score": 0.5}])
def test_options_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=f"{next(iter(given))} .* is out of range"):
        SamuraiOptions(**given)
