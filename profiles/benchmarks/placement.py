"""Whole frames and stages on ONNX Runtime, OpenVINO and `--backend auto`; what bfloat16 costs; memory over time.

    python profiles/benchmarks/placement.py speed [--side 1024] [--frames 8] [--threads 2] [--scratch FOLDER] [--write]
    python profiles/benchmarks/placement.py accuracy [--clips 20] [--frames 30] [--write]
    python profiles/benchmarks/placement.py memory [--frames 3000] [--write]

speed: a random hiera-tiny of real size, one object, seven memories. Every backend has a tracker of its own and they
take turns, frame by frame; figures are medians. At 1024 px the proved precision is bf16, at 512 px INT8 with bf16:
proved with a bound of zero, since the masks of random weights say nothing. accuracy: the checkpoint that ships at 256
px on held-out cluttered scenes with true masks. memory: the same checkpoint for thousands of frames, objects joining
and leaving. --scratch keeps what is made and uses it again. --write keeps the figures in openvino.md beside this file,
a part for each command.
"""

import argparse
import datetime
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "tests"), str(HERE.parents[1] / "demos" / "nano")]

from masklet.profiles.benchmarks.calibration import CHECKPOINT, MASKLET, calibrated, scenes, scratch  # noqa: E402
from masklet.profiles.benchmarks.stages import cpu_name  # noqa: E402
from masklet.profiles.recording.timeline import ResidentMemory  # noqa: E402
from masklet.runtime.backends.stage_times import StageTimes  # noqa: E402
from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.prompts.prompts import Points  # noqa: E402
from masklet.runtime.results import Frame  # noqa: E402
from masklet.runtime.startup.backend_choice import BackendChoice  # noqa: E402
from masklet.runtime.tracking.video_tracker import VideoTracker  # noqa: E402

PAGE = HERE / "openvino.md"
TITLE = "# OpenVINO, and every stage where it is fastest"
WARMUP = 20  # frames until memories and pointers are full and OpenVINO has compiled for the shapes that stay
LOW = {1024: "bf16", 512: "int8-bf16"}  # precision that is proved, by side
FLAGS = ("avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")
BASE = "onnxruntime"


class Runner:
    """A tracker on one backend, and the times of its frames and stages in milliseconds."""

    def __init__(self, bundle: Path, name: str, settings: Mapping[str, Any], threads: int) -> None:
        self.told: list[str] = []
        self.frames_ms: list[float] = []
        self.times = StageTimes()
        choice = BackendChoice(name, threads, settings)
        self.sessions, self.backend = choice.open(Bundle.load(bundle), self.told.append, self.times.wrap)
        self._tracker = VideoTracker(self.sessions)

    def step(self, frame: Frame) -> None:
        """Track one object through a frame; the first one is prompted in the middle."""
        height, width = frame.hw
        prompts = {1: Points.click(width // 2, height // 2)} if not self.frames_ms else {}
        began = time.perf_counter()
        self._tracker.step(frame, prompts)
        self.frames_ms.append((time.perf_counter() - began) * 1e3)

    @property
    def frame_ms(self) -> float:
        """Median of the frames after the warm-up."""
        return statistics.median(self.frames_ms[WARMUP:])

    def stages_ms(self) -> dict[str, float]:
        """Medians of the stages after the warm-up."""
        rows = [stages for _, stages in self.times.since(WARMUP)]
        return {name: statistics.median([row[name] for row in rows]) for name in rows[-1]}

    def host_ms(self) -> float:
        """Median of what is left of a frame beside its stages."""
        rows = self.times.since(WARMUP)
        return statistics.median([self.frames_ms[number - 1] - sum(stages.values()) for number, stages in rows])

    def choosing_s(self) -> float:
        """What the first two frames, in which every stage is called for the first time, took beyond two others."""
        return (sum(self.frames_ms[:2]) - 2 * self.frame_ms) / 1e3


def speed(given: argparse.Namespace) -> str:
    """Frames and stages by backend, taking turns."""
    import numpy as np

    with scratch(given.scratch) as folder, tempfile.TemporaryDirectory() as cache:
        fp32, low = _bundles(given.side, folder, given.threads)
        os.environ["XDG_CACHE_HOME"] = cache  # nothing is chosen yet
        runners = {
            BASE: Runner(fp32, BASE, {}, given.threads),
            "openvino:f32": Runner(fp32, "openvino", {}, given.threads),
            "openvino:bf16": Runner(fp32, "openvino", {"precision_hint": "bf16"}, given.threads),
            f"auto, {LOW[given.side]}": Runner(low, "auto", {}, given.threads),
        }
        if given.side == 512:
            runners["onnxruntime, INT8"] = Runner(low, BASE, {}, given.threads)
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (given.side, given.side, 3), dtype=np.uint8) for _ in range(4)]
        for index in range(WARMUP + given.frames + 1):  # a frame's stages are complete when the next begins
            for runner in runners.values():
                runner.step(Frame(index, index / 30, images[index % len(images)]))
            print(f"frame {index}", file=sys.stderr, flush=True)
        auto = runners[f"auto, {LOW[given.side]}"]
    base = runners[BASE].frame_ms
    stages = list(runners[BASE].stages_ms())
    rows = []
    for name, runner in runners.items():
        by_stage = " | ".join(f"{runner.stages_ms()[stage]:.1f}" for stage in stages)
        ratio = base / runner.frame_ms
        rows.append(f"| {name} | {runner.frame_ms:.1f} | {ratio:.2f} | {by_stage} | {runner.host_ms():.1f} |")
    return "\n".join(
        (
            f"{_today(given.threads)} SAM 2.1 hiera-tiny, random weights, {given.side} px, one object, seven memories, "
            f"{given.frames} frames each, taking turns; ms, medians. `{_command('speed', given, 'side', 'frames')}`",
            "",
            f"| backend | whole frame | of ONNX Runtime FP32 | {' | '.join(stages)} | host |",
            "| --- |" + " ---: |" * (3 + len(stages)),
            *rows,
            "",
            f"What `auto` chose, with the milliseconds of what it compared; the first two frames took "
            f"{auto.choosing_s():.1f} s longer for it (onnxruntime's {runners[BASE].choosing_s():.1f} s):",
            "",
            *(f"- {line}" for line in auto.told if " ms" in line),
        )
    )


def _bundles(side: int, folder: Path, threads: int) -> tuple[Path, Path]:
    """The FP32 bundle of a random hiera-tiny, and the one at the proved precision."""
    from checkpoints import SIZES, random_model, sam2_config, save_checkpoint

    fp32, low = folder / f"fp32-{side}.bundle", folder / f"low-{side}.bundle"
    if not fp32.exists():
        if not (folder / "tiny").exists():
            save_checkpoint(random_model(sam2_config(SIZES["tiny"])), folder / "tiny")
        _run(MASKLET, "export", folder / "tiny", "-o", fp32, "--image-size", side)
    if not low.exists():
        scene = scenes(folder / "scenes", 1, 3)[0]
        clicks = [word for point in scene.points for word in ("--point", point)]
        proof = ("--precision", LOW[side], "--min-iou", 0, "--no-search", "--threads", threads)
        _run(MASKLET, "calibrate", fp32, scene.frames, "-o", low, *clicks, *proof)
    return fp32, low


def accuracy(given: argparse.Namespace) -> str:
    """bf16 against FP32 in closed loop, on scenes with true masks."""
    with scratch(given.scratch) as folder:
        bundle = folder / "nano.bundle"
        if not bundle.exists():
            _run(MASKLET, "export", CHECKPOINT, "-o", bundle, "--image-size", 256)
        clips = scenes(folder / "held-out", given.clips, given.frames)
        options = ("--precision", "bf16", "--no-search", "--threads", given.threads)
        done = folder / "bf16.report.json"
        if not done.exists():
            calibrated(bundle, clips, folder / "bf16.bundle", *options)
        report = json.loads(done.read_bytes())
    found = report["figures"]
    return "\n".join(
        (
            f"{_today(given.threads)} The checkpoint that ships at 256 px, {given.clips} held-out cluttered scenes of "
            f"{given.frames} frames, two objects, one click each. `{_command('accuracy', given, 'clips', 'frames')}`",
            "",
            "| precision | mask IoU with FP32 | worst frame | J&F | J&F of FP32 | points lost |",
            "| --- | ---: | ---: | ---: | ---: | ---: |",
            f"| bf16 | {found['iou']:.4f} | {found['least_iou']:.3f} | {found['jf']:.2f} | "
            f"{found['jf_fp32']:.2f} | {found['jf_fp32'] - found['jf']:+.2f} |",
        )
    )


def memory(given: argparse.Namespace) -> str:
    """Resident memory of a long run on OpenVINO, objects joining and leaving, so that shapes change."""
    import numpy as np

    with scratch(given.scratch) as folder:
        bundle = folder / "nano.bundle"
        if not bundle.exists():
            _run(MASKLET, "export", CHECKPOINT, "-o", bundle, "--image-size", 256)
        sessions = BackendChoice("openvino", given.threads).sessions(Bundle.load(bundle), lambda line: None)
        tracker, resident = VideoTracker(sessions), ResidentMemory()
        rng = np.random.default_rng(0)
        images = [rng.integers(0, 256, (128, 128, 3), dtype=np.uint8) for _ in range(8)]
        points: list[tuple[int, float]] = []
        for index in range(given.frames):
            joins = {1 + index // 50: Points.click(40 + index % 40, 60)} if index % 50 == 0 else {}
            if index % 50 == 0 and len(tracker.object_ids) >= 3:
                tracker.remove(min(tracker.object_ids))
            tracker.step(Frame(index, index / 30, images[index % len(images)]), joins)
            if index % 500 == 499:
                points.append((index + 1, (resident() or 0) / 1e6))
                print(points[-1], file=sys.stderr, flush=True)
    counts, mbs = np.array([point for point in points if point[0] > given.frames / 3]).T
    slope = float(np.polyfit(counts, mbs, 1)[0]) * 1000
    return "\n".join(
        (
            f"{_today(given.threads)} The checkpoint that ships at 256 px on OpenVINO in FP32, one to three objects, "
            f"one joining and one leaving every 50 frames. After the first third memory grows by {slope:+.2f} MB per "
            f"1,000 frames. `{_command('memory', given, 'frames')}`",
            "",
            "| frames | MB resident |",
            "| ---: | ---: |",
            *(f"| {frames} | {mb:.1f} |" for frames, mb in points),
        )
    )


PARTS: dict[str, Callable[[argparse.Namespace], str]] = {"speed": speed, "accuracy": accuracy, "memory": memory}


def _run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


def _today(threads: int) -> str:
    info = Path("/proc/cpuinfo")
    there = set(re.findall(r"\w+", info.read_text())) if info.exists() else set()
    flags = " ".join(flag for flag in FLAGS if flag in there) or "none of " + " ".join(FLAGS)
    return f"{datetime.date.today().isoformat()}, {cpu_name()} ({flags}), {threads} threads."


def _command(part: str, given: argparse.Namespace, *options: str) -> str:
    words = " ".join(f"--{name} {getattr(given, name)}" for name in (*options, "threads"))
    return f"python profiles/benchmarks/placement.py {part} {words} --write"


def keep(part: str, text: str) -> None:
    """Put a part into the page, in the place of its earlier figures."""
    page = PAGE.read_text() if PAGE.exists() else ""
    found = dict(re.findall(r"^## ([^\n]+)\n\n(.*?)\n*(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)) | {part: text}
    PAGE.write_text("\n\n".join([TITLE, *(f"## {name}\n\n{found[name]}" for name in sorted(found))]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--side", type=int, choices=LOW, default=1024)
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    given.frames = given.frames or {"speed": 8, "accuracy": 30, "memory": 3000}[given.part]
    text = PARTS[given.part](given)
    print(text)
    if given.write:
        keep(f"speed at {given.side} px" if given.part == "speed" else given.part, text)


if __name__ == "__main__":
    main()
