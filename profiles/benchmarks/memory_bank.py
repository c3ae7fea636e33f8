"""Memory policies on scripts instead of pictures: their cost, what bounds change, memory of endless streams; digests.

    python profiles/benchmarks/memory_bank.py cost
    python profiles/benchmarks/memory_bank.py frames BUNDLE
    python profiles/benchmarks/memory_bank.py bounds
    python profiles/benchmarks/memory_bank.py growth BUNDLE [--frames 20000]
    python profiles/benchmarks/memory_bank.py digest BUNDLE [--clips 40] [--masks]

cost: time on the host, of one object with masks of 256 low-resolution pixels. frames: a whole frame, stages included.
bounds: what is attended against banks that keep every frame. growth: RSS of trackers whose stages are scripted. digest:
SHA-256 of all masks and scores under the rules of SAM 2 and SAM 3, from a click on each object or, with --masks, from
its true mask and without hole filling; it uses nothing that is newer than policies are, so that it can be run in an
earlier checkout as well, with that one's names of modules: equal digests are equal bytes.
"""

import argparse
import hashlib
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from masklet.runtime import Bundle, Frame, Sessions, VideoTracker
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.prompts.prompts import Mask, Points, Prompt
from masklet.runtime.tracking.video_tracker import TrackerOptions

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "demos" / "nano")]

POLICIES = ("sam2", "sam3", "last_seen", "dam4sam", "samurai")
SIDE, FRAMES, OBJECTS = 256, 20, 2  # of the clips that are digested
PAGE = resource.getpagesize()


def cost() -> Iterator[str]:
    """What a policy and its bank do on a frame, at the sizes of SAM 2.1 at 1024 pixels."""
    from memory_scripts import random_script, toy_bank

    yield "| policy | rule, ms | bank, ms |\n| --- | ---: | ---: |"
    memory = np.zeros((4096, 64), np.float32)
    shots = [
        replace(shot, candidates=shot.candidates.repeat(8, axis=1).repeat(8, axis=2))
        for seed in range(3)
        for shot in random_script(np.random.default_rng(seed), 200, 200 * seed)
    ]
    for name in POLICIES:
        bank, rules, banks = toy_bank(name, *memory.shape), [], []
        for shot in shots:
            seen = shot.seen()
            begun = time.perf_counter()
            bank.begin(shot.time)
            if bank.object_ids:
                bank.feeds([1])
            fed = time.perf_counter()
            if bank.object_ids and not shot.prompted:
                bank.choose(1, seen)
            wanted = bank.note(1, seen, shot.prompted)
            ruled = time.perf_counter()
            bank.keep(1, memory if wanted else None, memory[0, :1])
            rules.append(ruled - fed)
            banks.append(fed - begun + time.perf_counter() - ruled)
        yield f"| {name} | {1e3 * statistics.median(rules):.3f} | {1e3 * statistics.median(banks):.3f} |"


def frames(bundle: Path) -> Iterator[str]:
    """A whole frame of one object under each policy, taking turns, once their banks are full."""
    from clicks import centre_click
    from scenes import HELD_OUT_SEED, render

    clip = render("cluttered", HELD_OUT_SEED + 101, SIDE, 60)
    click = Points.click(*centre_click(clip.labels[0] == 1))
    with Sessions.open(Bundle.load(bundle), OnnxRuntime(threads=1)) as sessions:
        trackers = {name: VideoTracker(sessions, memory=name) for name in (*POLICIES, "samurai:camera_motion")}
        took: dict[str, list[float]] = {name: [] for name in trackers}
        for number, picture in enumerate(clip.frames):
            for name, tracker in trackers.items():
                begun = time.process_time()
                tracker.step(Frame(number, number / 30, picture), {1: click} if number == 0 else None)
                took[name].append(1e3 * (time.process_time() - begun))
    yield "| policy | processor time of a frame, ms |\n| --- | ---: |"
    yield from (f"| {name} | {statistics.median(times[20:]):.1f} |" for name, times in took.items())


def bounds() -> Iterator[str]:
    """Attended frames of the bank, and those of the same rule in a bank that forgets nothing."""
    from masklet.runtime.tracking.policies.dam4sam import Dam4Sam, Dam4SamState
    from masklet.runtime.tracking.policies.samurai import Samurai, SamuraiState
    from memory_scripts import keep, random_script, toy_bank

    class EveryFrame(Dam4Sam):
        def _trimmed(self, state: Dam4SamState, time: int) -> Dam4SamState:
            return state

    class EveryGoodFrame(Samurai):
        def after(self, state: SamuraiState, seen: Any, pinned: bool) -> SamuraiState:
            after = super().after(state, seen, pinned)
            good = (*state.good, *(t for t in after.good[-1:] if t == seen.time))
            times = (*state.pinned, *((seen.time,) if pinned else ()))
            return replace(after, good=good, pinned=times)

    yield "| policy | frames | attended otherwise | most memories kept, of all frames |\n| --- | ---: | ---: | ---: |"
    for name, kind in (("dam4sam", EveryFrame), ("samurai", EveryGoodFrame)):
        frames = other = most = 0
        for seed in range(20):
            bank = toy_bank(name)
            whole = kind(bank.policy.spec, bank.policy.options)
            state: Any = whole.start()
            for shot in random_script(np.random.default_rng(seed), 2000):
                bank.begin(shot.time)
                if shot.time:
                    wanted = whole.attended(state, shot.time)
                    known = [{t: row for t, row in part.items() if t >= 0} for part in wanted]
                    frames, other = frames + 1, other + (list(bank.attended(1)) != known)
                keep(bank, 1, shot.seen())
                state = whole.after(state, shot.seen(), shot.prompted)
                most = max(most, len(bank.snapshot().objects[0].spatial.times))
        yield f"| {name} | {frames} | {other} | {most} of 2000 |"


class Scripted:
    """A stage that computes nothing: its mask decoder gives what a script says."""

    def __init__(self, spec: StageSpec, seed: int) -> None:
        from memory_scripts import random_script

        self.spec, self._shots, self._calls = spec, random_script(np.random.default_rng(seed), 1000), 0

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self.spec.check(feeds)
        out: dict[str, Tensor] = {t.name: np.zeros(t.sized(sizes), t.dtype) for t in self.spec.outputs}
        if self.spec.name == "mask_decoder":
            shot = self._shots[self._calls % len(self._shots)]
            self._calls += 1
            out["object_score"] += np.float32(shot.score)
            out["iou"] += shot.ious.max()
            out["candidate_ious"][:, 1:] = shot.ious
            scale = out["low_res_mask"].shape[-1] // shot.candidates.shape[-1]
            masks = shot.candidates.repeat(scale, axis=1).repeat(scale, axis=2)
            out["candidate_masks"][:, 1:] = masks
            out["low_res_mask"][:, 0] = masks[int(np.argmax(shot.ious))]
        return out

    def close(self) -> None:
        """Nothing is held."""


def growth(bundle: Path, length: int) -> Iterator[str]:
    """Resident memory of the process while a tracker takes frame after frame."""
    model = Bundle.load(bundle).model
    yield "| policy | RSS at 2,000 frames, MB | at the end, MB | growth, MB |\n| --- | ---: | ---: | ---: |"
    picture = np.zeros((64, 64, 3), np.uint8)
    for seed, name in enumerate(POLICIES):
        sessions = Sessions(model, {stage.name: Scripted(stage, seed) for stage in model.stages})
        tracker = VideoTracker(sessions, memory=name)
        sizes = []
        for number in range(length):
            tracker.step(Frame(number, number / 30, picture), {1: Points.click(32, 32)} if number == 0 else None)
            if number + 1 in (2000, length):
                sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6)
        yield f"| {name} | {sizes[0]:.1f} | {sizes[1]:.1f} | {sizes[1] - sizes[0]:+.2f} |"


def digest(bundle: Path, clips: int, masks: bool) -> Iterator[str]:
    """SHA-256 of the masks and scores of held-out clips, half of them cluttered and half rich."""
    from clicks import centre_click
    from scenes import held_out

    sessions = Sessions.open(Bundle.load(bundle), OnnxRuntime(threads=1))
    model = sessions.model
    if model.memory is None:
        raise SystemExit(f"{bundle}: a model without memory")
    for rule, threshold in (("sam2", None), ("sam3, 0.01", 0.01), ("sam3, 0.5", 0.5)):
        sessions.model = msgspec.structs.replace(
            model, memory=msgspec.structs.replace(model.memory, min_effective_iou=threshold)
        )
        found = hashlib.sha256()
        for kind in ("cluttered", "rich"):
            for clip in held_out(kind, clips // 2, SIDE, FRAMES, OBJECTS):
                tracker = VideoTracker(sessions, TrackerOptions(fill_hole_area=0) if masks else None)
                true = {i: clip.labels[0] == i for i in clip.ids}
                first = {i: Mask(mask) if masks else Points.click(*centre_click(mask)) for i, mask in true.items()}
                for number, picture in enumerate(clip.frames):
                    prompts: dict[int, Prompt] = {**first} if number == 0 else {}
                    result = tracker.step(Frame(number, number / 30, picture), prompts)
                    found.update(result.masks.tobytes())
                    found.update(result.scores.tobytes())
        yield f"{rule}: {found.hexdigest()}"


def main() -> None:
    """Print a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("cost", "frames", "bounds", "growth", "digest"))
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--masks", action="store_true")
    chosen = parser.parse_args()
    if chosen.part in ("frames", "growth", "digest") and chosen.bundle is None:
        parser.error(f"{chosen.part} needs a bundle")
    parts: dict[str, Callable[[], Iterator[str]]] = {
        "cost": cost,
        "frames": lambda: frames(chosen.bundle),
        "bounds": bounds,
        "growth": lambda: growth(chosen.bundle, chosen.frames),
        "digest": lambda: digest(chosen.bundle, chosen.clips, chosen.masks),
    }
    for line in parts[chosen.part]():
        print(line, flush=True)


if __name__ == "__main__":
    main()
