"""A point of the search: one way to run a model, as a choice for every knob."""

import msgspec
from masklet.runtime.bundle.tuning import Attending
from masklet.runtime.tracking.memory_detail import MemoryDetail
from masklet.runtime.tracking.memory_limits import MemoryLimits
from masklet.runtime.tracking.video_tracker import TrackerOptions

EXACT, FP32, BF16 = "exact", "fp32", "bf16"


class Point(msgspec.Struct, frozen=True, order=True):
    """A choice for every knob; the default of each is what the exact pipeline has.

    bundle:    number of the bundle: 0 is the one that is tuned, others are those given with --with.
    form:      the variant of the model (`ModelSpec.form`).
    numerics:  "exact": every stage on ONNX Runtime, as its graph is. "fp32": each where it is fastest. "bf16": each
               where it is fastest, in bfloat16 where a backend has that.
    detail:    what each memory keeps (`MemoryDetail`); None for a variant of whole memories.
    frames, pointers, update, detection: as in `Attending`.
    """

    form: str
    bundle: int = 0
    numerics: str = EXACT
    detail: str | None = None
    frames: int | None = None
    pointers: int | None = None
    update: int = 1
    detection: int = 1

    @property
    def attending(self) -> Attending:
        """What may change between two frames."""
        return Attending(self.frames, self.pointers, self.update, self.detection)

    @property
    def limits(self) -> MemoryLimits:
        """How much a frame attends to."""
        detail = None if self.detail is None else MemoryDetail.parse(self.detail)
        return MemoryLimits(self.frames, self.pointers, detail)

    @property
    def options(self) -> TrackerOptions:
        """What a tracker of prompted objects is given."""
        return TrackerOptions(limits=self.limits, update_interval=self.update)

    def knobs(self) -> dict[str, str]:
        """The choice of each knob in words, those at their default left out."""
        size = self.form.removesuffix("-foveated")
        words = {
            "bundle": f"bundle {self.bundle + 1}" if self.bundle else "",
            "size": f"{size} px",
            "numerics": {FP32: "stages placed", BF16: "bf16"}.get(self.numerics, ""),
            "memory": self.detail or "",
            "frames": f"{self.frames} recent frame{'s' if self.frames != 1 else ''}" if self.frames else "",
            "pointers": f"{self.pointers} pointers" if self.pointers else "",
            "update": f"update every {self.update} frames" if self.update > 1 else "",
            "detection": f"detection every {self.detection} frames" if self.detection > 1 else "",
        }
        return {knob: text for knob, text in words.items() if text}

    def __str__(self) -> str:
        return ", ".join(self.knobs().values())
