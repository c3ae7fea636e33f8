"""The backend selected on the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from masklet.runtime.backends.kind import BackendKind, in_one_line
from masklet.runtime.backends.known import backend_kind, backend_options, owners
from masklet.runtime.backends.placement.backend import PlacedStages
from masklet.runtime.backends.session import ChosenBackend, Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import SessionError
from masklet.runtime.startup.engine_check import require_checked


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A backend with its settings.

    name:     name of the backend, see `backend_kinds`.
    threads:  threads of each stage on the CPU; None for all cores.
    settings: values of the backend's own options, by name; options that are not named have their defaults.
    Raises SessionError for an unknown backend, or an option that it does not have.
    """

    name: str = "onnxruntime"
    threads: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        taken = {option.name for option in self.kind.options}
        for option in backend_options():
            if option.name in self.settings and option.name not in taken:
                named = " and ".join(owners(option.name))
                raise SessionError(f"{option.flag} is for --backend {named}, not for {self.name}")

    @property
    def kind(self) -> BackendKind:
        """The declaration of the backend."""
        return backend_kind(self.name)

    @property
    def on_cpu(self) -> bool:
        """Whether it runs on the CPU."""
        return self.kind.on_cpu(self.settings)

    def sessions(self, bundle: Bundle, tell: Callable[[str], None]) -> Sessions:
        """Open every stage. tell: called with one line that names what runs each stage, if that is not the default.

        Raises SessionError if the settings cannot be combined, or a stage cannot be opened.
        """
        return self.open(bundle, tell)[0]

    def open(
        self, bundle: Bundle, tell: Callable[[str], None], wrap: Callable[[Session], Session] | None = None
    ) -> tuple[Sessions, ChosenBackend]:
        """Like `sessions`, and also return the backend. wrap: wraps every session.

        Engines built on a machine that could not run them are compared with their graphs before they are used.
        """
        backend = self._create()
        if isinstance(backend, PlacedStages):
            backend.tell = tell
        if backend.engine_machine is not None:
            checked = require_checked(bundle, self.name, backend.engine_machine, self._create)
            if checked is not None:
                tell(f"engines checked against their graphs: {checked}")
        sessions = Sessions.open(bundle, backend, wrap)
        if backend.ran_on:
            tell(in_one_line(backend.ran_on))
        return sessions, backend

    def _create(self) -> ChosenBackend:
        return self.kind.create(self.threads, self.settings)
