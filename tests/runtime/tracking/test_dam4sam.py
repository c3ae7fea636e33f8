"""DAM4SAM's policy against the authors' rules written down with every frame kept, on random scripts."""

from typing import Any

import numpy as np
import pytest
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import PolicyError
from masklet.runtime.tracking.policies.dam4sam import Dam4SamOptions
from memory_scripts import SPEC, Shot, keep, random_script, toy_bank
from skimage.measure import label


class Theirs:
    """One object, frame 0 prompted first, as in dam4sam_tracker.py 197-262 and sam2_base.py 539-690 of DAM4SAM."""

    def __init__(self) -> None:
        self.cond: dict[int, int] = {}  # time: pixels of the mask
        self.non_cond: dict[int, int] = {}
        self.object_sizes: list[int] = []
        self.last_added = -1

    def see(self, time: int, shot: Shot) -> None:
        mask = shot.seen().mask > 0
        pixels = int(mask.sum())
        if shot.prompted:
            self.cond[time] = pixels
            return
        self.non_cond[time] = pixels
        self.object_sizes.append(pixels)
        if self.adds(time, shot, mask, pixels):
            self.last_added = time
            self.cond[time] = self.non_cond.pop(time)

    def adds(self, time: int, shot: Shot, mask: Tensor, pixels: int) -> bool:
        ratio = -1.0
        if len(self.object_sizes) > 1 and pixels >= 1:
            ratio = pixels / float(np.median([size for size in self.object_sizes[-300:] if size >= 1][-10:]))
        if not (shot.ious.max() > 0.8 and 0.8 <= ratio <= 1.2 and pixels >= 1):
            return False
        if not (time - self.last_added > 5 or self.last_added == -1):
            return False
        overlaps = []
        for row in range(3):
            other = shot.masks[row] & ~mask
            if row == int(np.argmax(shot.ious)) or not other.any():
                continue
            parts = label(other, connectivity=2)
            union = mask | (parts == 1 + np.argmax(np.bincount(parts[parts > 0])[1:]))
            overlaps.append(box_area(mask) / box_area(union))  # the one box is within the other
        return bool(overlaps) and min(overlaps) <= 0.7

    def selected(self, now: int) -> set[int]:
        """select_closest_cond_frames."""
        chosen = set()
        before = max((t for t in self.cond if t < now - 1), default=None)
        if before is not None:
            chosen.add(before)
        chosen.add(0)
        rest = sorted((t for t in self.cond if t not in chosen and t != now - 1), key=lambda t: abs(t - now))
        return chosen | set(rest[: 4 - len(chosen)])

    def attended(self, now: int) -> tuple[dict[int, int], dict[int, int]]:
        selected = self.selected(now)

        def there(t: int) -> bool:
            return self.non_cond.get(t, 0) >= 1 and t not in selected

        ram: list[tuple[int, bool]] = []
        at = 0
        for number in range(7 - len(selected)):
            found = False
            if number == 0:
                at = now - 1
                known = self.cond.get(at, self.non_cond.get(at, 0))
                found = known >= 1 and at not in selected
                while not found and at > 0:
                    at -= 1
                    found = at > 0 and there(at)
            elif at >= 0:
                at = (at - 1) // 5 * 5
                found = there(at)
                while not found and at > 0:
                    at -= 5
                    found = at > 0 and there(at)
            ram.append((at, found))
        slots = [(0, t, True) for t in selected] + [(t, t, found) for t, found in ram]
        memories = {}
        for place, (order, t, found) in enumerate(sorted(slots, key=lambda slot: slot[0])):
            if found:
                memories[t] = 6 - (0 if order == 0 else place)
        pointers = {t: now - t for t in selected}
        for distance in range(1, 16):
            t = now - distance
            pixels = self.non_cond.get(t, 0) or (self.cond.get(t, 0) if t not in selected else 0)
            if t >= 0 and pixels >= 1:
                pointers[t] = distance
        return memories, pointers


def box_area(mask: Tensor) -> int:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1))


def test_what_is_attended_is_what_theirs_attends_to() -> None:
    """201 scripts, of three objects that join one after another; each counts frames from its first."""
    added = hidden = 0
    for seed in range(67):
        rng = np.random.default_rng(seed)
        bank, starts = toy_bank("dam4sam"), (0, 3, 11)
        scripts = {i: random_script(rng, 70, start) for i, start in enumerate(starts)}
        theirs = {i: Theirs() for i in scripts}
        for time in range(70):
            bank.begin(time)
            for i, start in enumerate(starts):
                if time > start:
                    memories, pointers = theirs[i].attended(time - start)
                    mine = bank.attended(i)
                    assert mine.memories == {t + start: row for t, row in memories.items()}, (seed, i, time)
                    assert mine.pointers == {t + start: distance for t, distance in pointers.items()}
                if time >= start:
                    shot = scripts[i][time - start]
                    keep(bank, i, shot.seen())
                    theirs[i].see(time - start, shot)
                    hidden += shot.score < 0
        added += sum(one.last_added > 0 for one in theirs.values())
    assert added > 40
    assert hidden > 400


def test_what_is_fed_is_what_was_kept() -> None:
    bank = toy_bank("dam4sam")
    for shot in random_script(np.random.default_rng(5), 60):
        bank.begin(shot.time)
        keep(bank, 1, shot.seen())
    bank.begin(60)
    feeds, attended = bank.feeds([1]), bank.attended(1)
    assert dict(zip(feeds["memory"][0, :, 0, 0].astype(int).tolist(), feeds["memory_time"][0], strict=True)) == (
        attended.memories
    )
    distances = np.rint(feeds["pointer_time"][0] * (SPEC.pointers - 1)).astype(int)
    assert dict(zip(feeds["pointers"][0, :, 0].astype(int).tolist(), distances.tolist(), strict=True)) == (
        attended.pointers
    )


def test_what_is_fed_of_one_object_is_no_copy_of_all_memories() -> None:
    """More is kept than is attended to; the frames that are lie in the first rows."""
    bank = toy_bank("dam4sam")
    for shot in random_script(np.random.default_rng(5), 200):
        bank.begin(shot.time)
        if shot.time:
            slots = bank._objects[1].spatial
            assert np.shares_memory(bank.feeds([1])["memory"], slots._array)
            assert all(slots._array[row, 0, 0] == time for row, time in enumerate(slots._times))
        keep(bank, 1, shot.seen())
    assert len(slots._times) > len(bank.attended(1).memories)


def test_it_is_bounded_and_goes_on_from_a_snapshot() -> None:
    bank = toy_bank("dam4sam")
    for shot in random_script(np.random.default_rng(7), 600):
        if shot.time == 400:
            again = toy_bank("dam4sam")
            again.restore(bank.snapshot())
        bank.begin(shot.time)
        keep(bank, 1, shot.seen())
        if shot.time >= 400:
            again.begin(shot.time)
            assert again.attended(1) == bank.attended(1)
            keep(again, 1, shot.seen())
        saved = bank.snapshot().objects[0]
        assert len(saved.spatial.times) - 1 <= bank.policy.slots.memories
        assert len(saved.pointers.times) - 1 <= bank.policy.slots.pointers
        assert len(saved.state["visible"]) <= 32


@pytest.mark.parametrize("given", [{"min_iou": 1.5}, {"drm_frames": 0}, {"stride": 0}, {"area_change": -0.1}])
def test_options_out_of_range_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(PolicyError, match=f"{next(iter(given))} .* is out of range"):
        Dam4SamOptions(**given)
