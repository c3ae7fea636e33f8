"""What could run a stage here: the forms of every backend that is installed, at precisions that are proved."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from masklet.runtime.backends.engine_checks import engines_are_checked
from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.backends.session import ChosenBackend
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec
from masklet.runtime.errors import MaskletError, SessionError


@dataclass(frozen=True, slots=True)
class Form:
    """A backend with settings, by the name that `--place` takes: `onnxruntime`, `openvino:bf16`."""

    kind: BackendKind
    settings: Settings
    name: str

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on the CPU."""
        return self.kind.on_cpu(self.settings)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A form that can run a stage. precision: what it computes the stage in, as manifests name it."""

    form: Form
    backend: ChosenBackend
    precision: Precision

    @property
    def backend_name(self) -> str:
        """The backend without its settings."""
        return self.form.kind.name

    def is_like(self, other: "Candidate") -> bool:
        """Whether another one computes the same in the same way."""
        return (self.backend_name, self.precision) == (other.backend_name, other.precision)


@dataclass(slots=True)
class Forms:
    """The forms that there are here, each opened once.

    kinds:   the backends by name.
    threads: of each stage on the CPU; all cores where None.
    missing: why forms cannot be had here, by name.
    """

    kinds: Mapping[str, BackendKind]
    threads: int | None
    missing: dict[str, str] = field(default_factory=dict)
    _opened: dict[str, ChosenBackend] = field(default_factory=dict)

    def all(self) -> list[Form]:
        """The forms of all backends."""
        return [
            Form(kind, settings, f"{kind.name}:{suffix}" if suffix else kind.name)
            for kind in self.kinds.values()
            for suffix, settings in kind.forms.items()
        ]

    def named(self, name: str) -> Form:
        """The form of that name; a backend's name alone is its first. Raises SessionError naming those there are."""
        for form in self.all():
            if name in (form.name, form.kind.name):
                return form
        kind = self.kinds.get(name.partition(":")[0])
        if kind is not None and kind.placed is not None:
            return Form(kind, kind.placed(name.partition(":")[2]), name)
        placed = [f"{kind.name}:..." for kind in self.kinds.values() if kind.placed is not None]
        there = ", ".join([*(form.name for form in self.all()), *placed])
        raise SessionError(f"--place: there is no backend {name}; choose one of {there}")

    def backend(self, form: Form) -> ChosenBackend:
        """The backend of a form. Raises SessionError where it is not installed or cannot run here."""
        if form.name not in self._opened:
            self._opened[form.name] = form.kind.create(self.threads, form.settings)
        return self._opened[form.name]

    def candidates(self, bundle: Bundle, stage: StageSpec) -> tuple[list[Candidate], dict[str, str]]:
        """What can run a stage, the likely fastest first, and why other forms cannot, by name.

        GPUs come first, then precisions below the graph's, then the order of names.
        """
        found: list[Candidate] = []
        out: dict[str, str] = {}
        for form in self.all():
            try:
                candidate = self.candidate(form, bundle, stage)
            except MaskletError as error:
                out[form.name] = str(error)
                continue
            if any(each.is_like(candidate) for each in found):
                continue  # a lower form computes a stage as the other where its precision is not proved
            if bundle.manifest.proves(stage.name, candidate.precision):
                found.append(candidate)
            else:
                out[form.name] = f"not proved; masklet calibrate --precision {candidate.precision}"
        own = {a.precision for a in bundle.manifest.artifacts if a.stage == stage.name}
        found.sort(key=lambda c: (c.form.on_cpu, c.precision in own, c.form.name))
        return found, out

    def candidate(self, form: Form, bundle: Bundle, stage: StageSpec) -> Candidate:
        """A form as what runs a stage. Raises MaskletError where it is not here, or the bundle has nothing for it."""
        if form.name in self.missing:
            raise SessionError(self.missing[form.name])
        try:
            backend = self.backend(form)
        except SessionError as error:
            self.missing[form.name] = str(error)
            raise
        if not engines_are_checked(bundle, form.kind.name, backend.engine_machine):
            raise SessionError(f"its engines were never compared with their graphs here; {form.kind.name} does so once")
        return Candidate(form, backend, backend.artifact(bundle, stage).precision)
