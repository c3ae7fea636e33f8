"""The choices of every knob for the models of a search, and all points that they make."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product, zip_longest

import msgspec
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import Point
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.tracking.memory_detail import usual_tokens

FRAMES = (3, 2, 1)  # recent frames, besides the model's own number
POINTERS = (4,)
UPDATES = (2, 3)
DETECTIONS = (2, 4)


@dataclass(frozen=True)
class Knobs:
    """What is chosen among, besides the models. phrases: instances of phrases are followed, not prompted objects."""

    frames: Sequence[int | None]
    pointers: Sequence[int | None]
    updates: Sequence[int]
    detections: Sequence[int]

    @classmethod
    def of(cls, model: ModelSpec, *, phrases: bool) -> "Knobs":
        """The usual choices."""
        recent = model.memory.recent_frames if model.memory else 1
        pointers = model.memory.pointers - 1 if model.memory else 1
        return cls(
            frames=(None, *(n for n in FRAMES if n < recent)),
            pointers=(None, *(n for n in POINTERS if n < pointers)),
            updates=(1,) if phrases else (1, *UPDATES),
            detections=(1, *DETECTIONS) if phrases else (1,),
        )

    def points(self, models: Models) -> list[Point]:
        """Every point of every model, each once; of models whose stages were timed."""
        found = {models.exact: None}
        for number, form in models.names():
            model = models.bundle((number, form)).model
            for detail in details(model):
                for numerics, frames, pointers, update, detection in product(
                    models.numerics((number, form)), self.frames, self.pointers, self.updates, self.detections
                ):
                    found[Point(form, number, numerics, detail, frames, pointers, update, detection)] = None
        return list(found)

    def alone(self, models: Models) -> list[tuple[str, Point]]:
        """Points that differ from the exact one in one knob, with the knob's name; first one choice of each knob."""
        turns: dict[str, list[tuple[str, Point]]] = {}
        for knob, point in self._alone(models):
            turns.setdefault(knob, []).append((knob, point))
        return [one for turn in zip_longest(*turns.values()) for one in turn if one is not None]

    def _alone(self, models: Models) -> Iterator[tuple[str, Point]]:
        exact = models.exact
        for number, form in models.names():
            model = models.bundle((number, form)).model
            if model.token_memory:
                if form.removesuffix("-foveated") == exact.form and not number:
                    yield from (
                        ("memory", Point(form, detail=detail)) for detail in details(model) if detail != "whole"
                    )
            elif (number, form) != (exact.bundle, exact.form):
                yield "bundle" if number else "size", Point(form, number)
        changes: dict[str, Sequence[int | str | None]] = {
            "frames": self.frames[1:],
            "pointers": self.pointers[1:],
            "update": self.updates[1:],
            "detection": self.detections[1:],
            "numerics": models.numerics((exact.bundle, exact.form))[1:],
        }
        for knob, choices in changes.items():
            yield from ((knob, msgspec.structs.replace(exact, **{knob: choice})) for choice in choices)


def details(model: ModelSpec) -> list[str | None]:
    """What memories of a variant may keep, the most first."""
    if not model.token_memory:
        return [None]
    rows, columns = model.feature_hw
    usual = usual_tokens(rows, columns)
    tokens = dict.fromkeys(min(rows * columns, max(16, round(usual * share))) for share in (1.5, 1, 0.6))
    return [*(f"foveated:{count}" for count in tokens), *(["pooled:2"] if min(rows, columns) >= 4 else [])]
