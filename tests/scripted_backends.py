"""Backends that take as long as they are told, on a clock of their own, and compute next to nothing."""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np
from masklet.runtime.backends.kind import BackendKind, Settings
from masklet.runtime.backends.placement.candidates import Forms
from masklet.runtime.backends.session import Feeds
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError


@dataclass
class Script:
    """How a backend behaves: seconds to open, of the first call and of later ones; what its outputs are times too
    large; the error of opening it; the precision that it says."""

    run_s: float = 0.1
    open_s: float = 0.0
    first_s: float = 0.0
    scale: float = 1.0
    fails: str | None = None
    missing: str | None = None
    precision: Precision = Precision.FP32


@dataclass
class Machine:
    """Backends by name, a clock that stands still but for what they take, and a log of what was opened and closed.

    `onnxruntime` is the reference of a trial.
    """

    scripts: dict[str, Script] = field(default_factory=dict)
    now: float = 0.0
    opened: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def forms(self) -> Forms:
        """What there is to choose among."""
        kinds = {name: BackendKind(name, name, self._create(name, script)) for name, script in self.scripts.items()}
        return Forms(kinds, 1)

    def _create(self, name: str, script: Script) -> "Callable[[int | None, Settings], ScriptedBackend]":
        def create(threads: int | None, settings: Settings) -> ScriptedBackend:
            if script.missing is not None:
                raise SessionError(script.missing)
            return ScriptedBackend(name, script, self)

        return create


class ScriptedBackend:
    """A backend of a script."""

    engine_machine = None

    def __init__(self, name: str, script: Script, machine: Machine) -> None:
        self.ran_on: dict[str, str] = {}
        self.name, self.script, self.machine = name, script, machine

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        return msgspec.structs.replace(bundle.artifact(stage.name, ("onnx",)), precision=self.script.precision)

    def open(self, bundle: Bundle, stage: StageSpec) -> "ScriptedSession":
        self.machine.now += self.script.open_s
        if self.script.fails is not None:
            raise SessionError(self.script.fails)
        self.machine.opened.append(self.name)
        return ScriptedSession(stage, self)


class ScriptedSession:
    """A stage whose outputs are ones, times the scale."""

    def __init__(self, spec: StageSpec, backend: ScriptedBackend) -> None:
        self.spec, self._backend, self._runs = spec, backend, 0

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self.spec.check(feeds)
        script, machine = self._backend.script, self._backend.machine
        machine.now += script.run_s + (0 if self._runs else script.first_s)
        machine.ran.append(self._backend.name)
        self._runs += 1
        return {t.name: np.full(t.sized(sizes), script.scale).astype(t.dtype) for t in self.spec.outputs}

    def close(self) -> None:
        self._backend.machine.closed.append(self._backend.name)
