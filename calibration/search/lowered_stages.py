"""The stages of a bundle at the tried precisions: each is made once, opened, compared with FP32, and written."""

import importlib.metadata
import shutil
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import onnx
from masklet.calibration.graphs.bf16 import round_to_bfloat16
from masklet.calibration.graphs.low_precision import FULL, StagePrecision, StagePrecisions, lower, lowest_groups
from masklet.calibration.graphs.stage_graph import PLAIN, copied, write_graphs
from masklet.calibration.recording.record import Recording
from masklet.calibration.search.low_runtime import LowRuntime
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.output_error import OutputError, output_error
from masklet.runtime.backends.session import Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, Parity
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.writer import BundleWriter
from masklet.runtime.errors import CalibrationError

MADE_WITH = ("masklet", "onnx", "onnxruntime")
MEASURED = "measured.onnx"
ROUNDS = 2  # alternating runs per recorded input
FEEDS = 4  # maximum number of recorded inputs that stages are compared on

Clock = Callable[[], int]  # monotonic, in nanoseconds


class StageFigures(msgspec.Struct, frozen=True):
    """A stage at its precision compared with FP32 on recorded inputs, in alternating runs.

    ms, fp32_ms:       median time of a call; both those of FP32 for a stage that stays FP32.
    speeds:            how many times as fast as FP32: the slowest, median and fastest of pairs of calls.
    bytes, fp32_bytes: size on disk.
    parity:            largest difference of each output over the inputs.
    """

    choice: StagePrecision
    bytes: int
    fp32_bytes: int
    ms: float | None
    fp32_ms: float | None
    parity: tuple[Parity, ...]
    speeds: tuple[float, float, float] | None = None

    @property
    def speed(self) -> str:
        """The speed in words, with its spread; empty for a stage that stays FP32 or was not run."""
        if self.speeds is None:
            return ""
        slowest, usual, fastest = self.speeds
        return f"{usual:.2f}x ({slowest:.2f}-{fastest:.2f})"

    @property
    def worst(self) -> float:
        """The largest relative difference of any output; 0 for a stage that was not run."""
        return max((p.relative for p in self.parity), default=0.0)


def _median_ms(taken_ns: list[int]) -> float | None:
    return statistics.median(taken_ns) / 1e6 if taken_ns else None


@dataclass(frozen=True)
class _Made:
    files: dict[str, tuple[str, ...]]
    folder: Path
    fp32_tensors: dict[str, float]

    @property
    def bytes(self) -> int:
        return sum((self.folder / name).stat().st_size for name in {n for names in self.files.values() for n in names})


class LoweredStages:
    """Stages at chosen precisions, in a folder of their own.

    precision: the low precision.
    method:    how INT8 ranges are determined.
    """

    def __init__(
        self, bundle: Bundle, recording: Recording, precision: Precision, method: str, folder: Path, threads: int | None
    ) -> None:
        self.bundle, self.recording, self.precision = bundle, recording, precision
        self._method = method
        self._folder = folder
        self._runtime, self.low_runtime = OnnxRuntime(threads), LowRuntime(precision, threads)
        self._made: dict[tuple[str, StagePrecision], _Made] = {}
        self._full: dict[str, Session] = {}

    def lowest(self) -> dict[str, StagePrecision]:
        """Every stage at the low precision, except those that were not run or have nothing to convert."""
        return {
            stage.name: StagePrecision(self.precision) if self.groups(stage.name) else FULL
            for stage in self.bundle.model.stages
        }

    def groups(self, stage: str) -> list[str]:
        """The groups of nodes of a stage that can have the low precision."""
        if not self.recording.statistics.get(stage):
            return []
        return lowest_groups(self.bundle, stage, self.precision)

    def open(self, choices: StagePrecisions) -> Sessions:
        """Open the chosen stages, to measure their accuracy."""
        opened = {stage.name: self._session(stage.name, choices[stage.name]) for stage in self.bundle.model.stages}
        return Sessions(self.bundle.model, opened, self.bundle.asset)

    def relative_error(self, stage: str, choice: StagePrecision) -> float:
        """The largest relative difference between the outputs of a stage and FP32, on recorded inputs."""
        full, low = self._session(stage, FULL), self._session(stage, choice)
        return max((error.relative for error in self._errors(stage, full, low, FEEDS // 2).values()), default=0.0)

    def sizes(self, choices: StagePrecisions) -> tuple[int, int]:
        """Size in bytes of the chosen stages, and of FP32."""
        full = {s: sum({f.path: f.bytes for a in self._artifacts(s) for f in a.files}.values()) for s in choices}
        low = {s: full[s] if _keeps_graph(c) else self._make(s, c).bytes for s, c in choices.items()}
        return sum(low.values()), sum(full.values())

    def compare(self, choices: StagePrecisions, clock: Clock = time.perf_counter_ns) -> dict[str, StageFigures]:
        """Compare every stage with FP32."""
        return {stage: self._compared(stage, choice, clock) for stage, choice in choices.items()}

    def fp32_tensors(self, choices: StagePrecisions) -> dict[str, dict[str, float]]:
        """By stage, the tensors that stay FP32 because they may overflow in FP16, with their magnitude."""
        kept = {stage: self._make(stage, c).fp32_tensors for stage, c in choices.items() if c != FULL}
        return {stage: tensors for stage, tensors in kept.items() if tensors}

    def write(self, writer: BundleWriter, choices: StagePrecisions) -> None:
        """Write the chosen stages into a new bundle, with the other files of the FP32 bundle."""
        for stage, choice in choices.items():
            if _keeps_graph(choice):
                for artifact in self._artifacts(stage):
                    self._copy(writer, self.bundle.root, [file.path for file in artifact.files])
                    writer.add(stage, artifact.format, artifact.precision, [file.path for file in artifact.files])
                continue
            made = self._make(stage, choice)
            for format, files in made.files.items():
                self._copy(writer, made.folder, list(files))
                writer.add(stage, format, choice.precision.graph, files)
        for asset in self.bundle.manifest.assets:
            self._copy(writer, self.bundle.root, [asset.path])
            writer.add_asset(asset.path)

    def made_with(self) -> dict[str, str]:
        """Versions of the packages used."""
        return {**self.bundle.manifest.made_with, **{name: importlib.metadata.version(name) for name in MADE_WITH}}

    def _make(self, stage: str, choice: StagePrecision) -> _Made:
        if (stage, choice) not in self._made:
            folder = self._folder / f"{len(self._made):03d}-{stage}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            lowered = lower(self.bundle, stage, choice, self.recording.statistics[stage], self._method)
            files = write_graphs(stage, lowered.models, folder)
            measured = lowered.measured
            if self.low_runtime.rounds:
                measured = copied(lowered.models[PLAIN])
                round_to_bfloat16(measured)
            if measured is not None:
                onnx.save(measured, folder / MEASURED, save_as_external_data=True, location=f"{MEASURED}.weights")
            self._made[stage, choice] = _Made(files, folder, lowered.fp32_tensors)
        return self._made[stage, choice]

    def _session(self, stage: str, choice: StagePrecision) -> Session:
        if choice == FULL:
            if stage not in self._full:
                self._full[stage] = self._runtime.open(self.bundle, self.bundle.model.stage(stage))
            return self._full[stage]
        made = self._make(stage, choice)
        measured = {PLAIN: (MEASURED,)} if (made.folder / MEASURED).exists() else made.files
        return self._open(stage, made.folder, measured)

    def _open(self, stage: str, folder: Path, files: Mapping[str, tuple[str, ...]]) -> Session:
        return self.low_runtime.open(self.bundle, stage, folder, files)

    def _compared(self, stage: str, choice: StagePrecision, clock: Clock) -> StageFigures:
        size, full_size = self.sizes({stage: choice})
        full = self._session(stage, FULL)
        if choice == FULL:
            ms = _median_ms(self._times(stage, full, full, clock)[1])
            return StageFigures(choice, size, full_size, ms, ms, ())
        made = self._make(stage, choice)
        rounds = self.low_runtime.rounds
        times = ([], []) if rounds else self._times(stage, full, self._open(stage, made.folder, made.files), clock)
        ms, fp32_ms = map(_median_ms, times)
        speeds = sorted(fp32 / max(low, 1) for low, fp32 in zip(*times, strict=True))
        errors = self._errors(stage, full, self._session(stage, choice), FEEDS)
        if broken := sorted(name for name, error in errors.items() if not error.is_finite):
            raise CalibrationError(
                f"stage {stage!r} at {choice}: output {broken[0]!r} has NaN or infinite values on recorded frames, so "
                "the bundle cannot be written; choose another --precision"
            )
        parity = tuple(Parity(stage, format, name, *error) for format in made.files for name, error in errors.items())
        spread = (speeds[0], statistics.median(speeds), speeds[-1]) if speeds else None
        return StageFigures(choice, size, full_size, ms, fp32_ms, parity, spread)

    def _times(self, stage: str, full: Session, low: Session, clock: Clock) -> tuple[list[int], list[int]]:
        """Times in nanoseconds of the calls of the low-precision session and of the FP32 session."""
        times: dict[bool, list[int]] = {True: [], False: []}
        for feeds in self.recording.feeds(stage, FEEDS):
            for turn in range(ROUNDS + 1):
                for is_low, session in ((False, full), (True, low)):
                    begun = clock()
                    session.run(feeds)
                    if turn:  # the first round is warm-up
                        times[is_low].append(clock() - begun)
        return times[True], times[False]

    def _errors(self, stage: str, full: Session, low: Session, most: int) -> dict[str, OutputError]:
        """The largest error of each output, over at most `most` recorded inputs."""
        worst: dict[str, OutputError] = {}
        for feeds in self.recording.feeds(stage, most):
            wanted, got = full.run(feeds), low.run(feeds)
            for name in wanted:
                worst[name] = worst.get(name, OutputError()).or_worse(output_error(got[name], wanted[name]))
        return worst

    def _artifacts(self, stage: str) -> list[Artifact]:
        return [a for a in self.bundle.manifest.artifacts if a.stage == stage and a.format.startswith(PLAIN)]

    @staticmethod
    def _copy(writer: BundleWriter, root: Path, names: list[str]) -> None:
        for name in names:
            if not (writer.root / name).exists():
                (writer.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(root / name, writer.root / name)


def _keeps_graph(choice: StagePrecision) -> bool:
    """Whether a stage keeps the graphs of the FP32 bundle: bfloat16 is in no graph."""
    return choice.precision.graph is Precision.FP32
