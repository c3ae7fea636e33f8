"""What `masklet tune` found for a bundle: how it is to be run here, and which settings it may step to."""

import msgspec
from masklet.runtime.errors import SpecError


class Attending(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a tracker that may change between two frames.

    memory_frames, pointers: recent frames attended at most (`MemoryLimits`); None for the model's own.
    update_interval: objects that move as expected are segmented every n-th frame.
    detection_interval: the detector of concepts runs on every n-th frame.
    """

    memory_frames: int | None = None
    pointers: int | None = None
    update_interval: int = 1
    detection_interval: int = 1

    def __post_init__(self) -> None:
        limits = {k: v for k, v in msgspec.structs.asdict(self).items() if v is not None}
        if any(value < 1 for value in limits.values()):
            raise SpecError(f"tuned settings {limits} are out of range; each is 1 or more")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bundle is run.

    place:         backend of each stage, as `--place` names it; empty for ONNX Runtime throughout.
    threads:       of each stage on the CPU; None for all cores.
    memory_detail: what each memory keeps (`MemoryDetail`); None for the variant's own.
    """

    place: dict[str, str] = {}
    threads: int | None = None
    memory_detail: str | None = None
    attending: Attending = Attending()


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings that a run may step to. ms: a frame, on average; loss: points of accuracy lost, see `Tuning`."""

    attending: Attending
    ms: float
    loss: float


class Tuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a bundle was tuned.

    settings:   those that were chosen.
    target_ms:  the budget for a frame. ms: of a frame on average; exact_ms: of the exact pipeline.
    loss:       points of 100 lost: of J&F if there were true masks (`by` "J&F"), of mask IoU with the exact pipeline
                otherwise (`by` "IoU").
    steps:      from the most accurate to the fastest, on what `place`, `threads` and `memory_detail` say.
    objects, frames: how many were tracked, and over how many frames.
    cpu:        the processor's name.
    """

    settings: Settings
    target_ms: float
    ms: float
    exact_ms: float
    loss: float
    by: str
    steps: tuple[Step, ...]
    objects: int
    frames: int
    cpu: str

    def __str__(self) -> str:
        """The settings and what they came to, in one line."""
        settings, attending = self.settings, self.settings.attending
        words = [settings.memory_detail or "", f"{len(settings.place)} stages placed" if settings.place else ""]
        words += [f"{attending.memory_frames} recent frames" if attending.memory_frames else ""]
        words += [f"{attending.pointers} pointers" if attending.pointers else ""]
        words += [f"update every {attending.update_interval} frames" if attending.update_interval > 1 else ""]
        words += [f"detection every {attending.detection_interval} frames" if attending.detection_interval > 1 else ""]
        chosen = ", ".join(filter(None, words)) or "as it is"
        faster = f"{self.exact_ms / max(self.ms, 1e-6):.1f}x as fast as the exact pipeline"
        return f"{self.ms:.1f} ms a frame, {faster}, {self.loss:.2f} points of {self.by} lost: {chosen}"
