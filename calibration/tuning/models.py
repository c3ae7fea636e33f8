"""The bundles and variants that a search chooses among, and how a point of it is opened."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from masklet.calibration.tuning.point import BF16, EXACT, FP32, Point
from masklet.runtime.backends.session import Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import CalibrationError
from masklet.runtime.startup.backend_choice import BackendChoice

Key = tuple[int, str]  # bundle and form
Wrap = Callable[[Session], Session]


@dataclass
class Models:
    """The models of a search.

    bundles: the one that is tuned, and others of the same model, such as an INT8 one.
    threads: of each stage, at most; None for all cores.
    places:  the backend of each stage, by model and numerics; none for ONNX Runtime throughout.
    """

    bundles: Sequence[Bundle]
    threads: int | None
    places: dict[tuple[Key, str], Mapping[str, str]] = field(default_factory=dict)
    _variants: dict[Key, Bundle] = field(default_factory=dict)

    def __post_init__(self) -> None:
        first = self.bundles[0].model
        for bundle in self.bundles:
            if bundle.manifest.tuning is not None:
                raise CalibrationError(f"{bundle.root}: is tuned already; tune the bundle that it was made from")
            if bundle.model.memory is None:
                raise CalibrationError(f"{bundle.root}: segments images; tuning needs a model that tracks")
            if (bundle.model.family, bundle.model.variant) != (first.family, first.variant):
                raise CalibrationError(
                    f"{bundle.root}: holds {bundle.model.family} {bundle.model.variant}, which is another model than "
                    f"{first.family} {first.variant}"
                )

    def names(self) -> list[Key]:
        """Every variant of every bundle; the exact one first."""
        return [(n, v.model.form) for n, b in enumerate(self.bundles) for v in b.manifest.all_variants()]

    def bundle(self, key: Key) -> Bundle:
        """A bundle with a variant as its first one."""
        number, form = key
        if key not in self._variants:
            self._variants[key] = self.bundles[number].variant(form)
        return self._variants[key]

    def numerics(self, key: Key) -> list[str]:
        """The numerics of a model that make a difference here."""
        fp32, bf16 = (self.places.get((key, numerics), {}) for numerics in (FP32, BF16))
        return [EXACT, *([FP32] if fp32 else []), *([BF16] if bf16 and bf16 != fp32 else [])]

    @property
    def exact(self) -> Point:
        """The point that all others are compared with: the first bundle's first variant, on ONNX Runtime."""
        _, form = self.names()[0]
        return Point(form, detail="whole" if self.bundles[0].model.token_memory else None)

    def place(self, point: Point) -> dict[str, str]:
        """The backend of each stage of a point; empty for ONNX Runtime throughout."""
        return dict(self.places.get(((point.bundle, point.form), point.numerics), {}))

    def open(self, point: Point, wrap: Wrap | None = None) -> Sessions:
        """Open the stages of a point. Raises MaskletError where that fails."""
        place = self.place(point)
        text = ",".join(f"{stage}={form}" for stage, form in place.items())
        choice = BackendChoice("auto", self.threads, {"place": text}) if place else BackendChoice(threads=self.threads)
        sessions, _ = choice.open(self.bundle((point.bundle, point.form)), lambda line: None, wrap)
        return sessions
