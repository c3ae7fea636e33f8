"""A profile as data, with the keys of `masklet profile --json`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from masklet.profiles.machine.device import Conditions, Device
from masklet.profiles.machine.sampler import Sample
from masklet.profiles.model.growth import Growth
from masklet.profiles.model.roofline import Roofline
from masklet.profiles.recording.operators import StageOperators
from masklet.profiles.recording.phases import PHASES, host_ns, order, spans, totals
from masklet.profiles.recording.statistics import Latency, latency, median
from masklet.profiles.recording.timeline import FrameTimes
from masklet.runtime.errors import MaskletError

SCHEMA = 1


class Frames(Latency, frozen=True):
    """Capture to masks, over frames. fps: number of frames divided by their total time, sinks included."""

    fps: float


class Part(Latency, frozen=True):
    """Latency of a stage, by call, or of a phase, by frame.

    per_frame_ms:  median of the sum of its calls per frame, over frames that have any.
    per_object_ms: median of the time of a call divided by its number of objects; None if it has no objects.
    share:         share of the time of all frames, 0..1.
    """

    per_frame_ms: float
    per_object_ms: float | None
    share: float


class Measured(Device, frozen=True):
    """The device, and its conditions before, during and after the run, warm-up included."""

    before: Conditions
    after: Conditions
    during: tuple[Sample, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether the machine was busy with other work before the measurement."""
        load = self.before.load_average
        return load is not None and load[0] > 0.5 * self.cores


class BundleFacts(msgspec.Struct, frozen=True):
    """The bundle: the model, its checkpoint, and how each stage ran."""

    family: str
    variant: str
    side: int
    checkpoint: str
    manifest_sha256: str
    backend: str
    threads: int | None
    precision: dict[str, str]


class SourceFacts(msgspec.Struct, frozen=True):
    """The source, with the size of delivered frames in pixels."""

    name: str
    width: int
    height: int
    outputs: str


class Memory(msgspec.Struct, frozen=True):
    """Resident memory in MB: peak including loading, after the first, and after the last measured frame."""

    rss_peak_mb: float
    rss_first_mb: float | None
    rss_last_mb: float | None


class Series(msgspec.Struct, frozen=True):
    """Values per frame: index, capture to masks, objects, memory frames attended to, and milliseconds by part.

    times_s: seconds from the beginning of the run to the request for the frame.
    """

    index: list[int]
    frame_ms: list[float]
    objects: list[int]
    memories: list[int]
    parts_ms: dict[str, list[float]]
    times_s: list[float] = []


class ShownFrame(msgspec.Struct, frozen=True):
    """One frame in detail: name, start and end of each span, in milliseconds from the request for the frame."""

    index: int
    spans: list[tuple[str, float, float]]


class Report(msgspec.Struct, frozen=True):
    """A profile. `frames` frames were measured after `warmup` frames of warm-up; parts are in the order of a frame."""

    device: Measured
    bundle: BundleFacts
    source: SourceFacts
    warmup: int
    frames: int
    frame: Frames
    stages: dict[str, Part]
    phases: dict[str, Part]
    host: Latency
    memory: Memory
    series: Series
    typical: ShownFrame
    slowest: ShownFrame
    roofline: Roofline | None = None
    growth: Growth | None = None
    operators: StageOperators | None = None
    schema: int = SCHEMA

    @property
    def parts(self) -> dict[str, Part]:
        """Phases and stages together, in the order of a frame."""
        both = {**self.phases, **self.stages}
        return {name: both[name] for name in order(self.stages)}


class Measurements(msgspec.Struct, frozen=True):
    """The part of a report that comes from the recorded frames."""

    frame: Frames
    stages: dict[str, Part]
    phases: dict[str, Part]
    host: Latency
    series: Series
    typical: ShownFrame
    slowest: ShownFrame


def measurements(frames: Sequence[FrameTimes], stages: Sequence[str], began_ns: int | None = None) -> Measurements:
    """Statistics of recorded frames.

    stages:   names in the order of the model; those that never ran are left out.
    began_ns: when the run began; with the first of the frames if it is not given.
    """
    began_ns = frames[0].asked_ns if began_ns is None else began_ns
    by_frame = [totals(frame) for frame in frames]
    whole_ns = sum(frame.total_ns for frame in frames)
    ran = [name for name in stages if any(name in by_name for by_name in by_frame)]
    to_masks = [frame.capture_to_mask_ns for frame in frames]
    whole = latency(to_masks)
    by_length = sorted(frames, key=lambda frame: frame.capture_to_mask_ns)
    return Measurements(
        frame=Frames(**msgspec.structs.asdict(whole), fps=len(frames) / max(whole_ns, 1) * 1e9),
        stages={name: _stage(name, frames, by_frame, whole_ns) for name in ran},
        phases={name: _phase(name, by_frame, whole_ns) for name in PHASES},
        host=latency([host_ns(frame) for frame in frames]),
        series=Series(
            [frame.index for frame in frames],
            [ns / 1e6 for ns in to_masks],
            [frame.objects for frame in frames],
            [frame.memories for frame in frames],
            {name: [by_name.get(name, 0) / 1e6 for by_name in by_frame] for name in order(ran)},
            [(frame.asked_ns - began_ns) / 1e9 for frame in frames],
        ),
        typical=_shown(by_length[(len(frames) - 1) // 2]),
        slowest=_shown(by_length[-1]),
    )


def read_report(path: Path) -> Report:
    """Read a file written by `--json`. Raises MaskletError if it is not a profile or has another schema."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise MaskletError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        schema = msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get("schema")
        if schema is None:
            raise MaskletError(f"{path}: not a profile; expected a file that `masklet profile --json` wrote")
        if bytes(schema) != str(SCHEMA).encode():
            raise MaskletError(
                f"{path}: a profile of schema {bytes(schema).decode()}, this masklet reads {SCHEMA}; profile again"
            )
        return msgspec.json.decode(raw, type=Report)
    except msgspec.MsgspecError as error:
        raise MaskletError(f"{path}: not a profile: {error}") from None


def _stage(name: str, frames: Sequence[FrameTimes], by_frame: Sequence[Mapping[str, int]], whole_ns: int) -> Part:
    calls = [call for frame in frames for call in frame.calls if call.stage == name]
    durations = [call.ended_ns - call.began_ns for call in calls]
    objects = [call.sizes["objects"] for call in calls if "objects" in call.sizes]
    each = [ns / count / 1e6 for ns, count in zip(durations, objects, strict=True)] if objects else None
    return _part(durations, [b[name] for b in by_frame if name in b], None if each is None else median(each), whole_ns)


def _phase(name: str, by_frame: Sequence[Mapping[str, int]], whole_ns: int) -> Part:
    durations = [by_name.get(name, 0) for by_name in by_frame]
    return _part(durations, durations, None, whole_ns)


def _part(durations: Sequence[int], of_frames: Sequence[int], each_ms: float | None, whole_ns: int) -> Part:
    found = latency(durations)
    return Part(
        **msgspec.structs.asdict(found),
        per_frame_ms=median(of_frames) / 1e6,
        per_object_ms=each_ms,
        share=sum(durations) / max(whole_ns, 1),
    )


def _shown(frame: FrameTimes) -> ShownFrame:
    def since(ns: int) -> float:
        return (ns - frame.asked_ns) / 1e6

    return ShownFrame(frame.index, [(s.name, since(s.began_ns), since(s.ended_ns)) for s in spans(frame)])
