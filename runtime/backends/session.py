"""A session runs one stage. Whatever wraps a stage (recording, timing, comparing) is a session around a session."""

from collections.abc import Collection, Mapping
from typing import Protocol

from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError

Feeds = Mapping[str, Tensor]


class Session(Protocol):
    """An opened stage."""

    @property
    def spec(self) -> StageSpec:
        """The stage that this session runs."""
        ...

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        """Run the stage on inputs that match its declaration.

        Returns every declared output. Outputs belong to the caller: a later run does not overwrite them.
        Raises SpecError if an input does not match, SessionError if the backend fails.
        """
        ...

    def close(self) -> None:
        """Free the memory of the stage; it cannot be run again."""
        ...


class SessionAround:
    """Base class of sessions around a session: the same stage, with an overridden `run`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def spec(self) -> StageSpec:
        return self._session.spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        return self._session.run(feeds)

    def close(self) -> None:
        self._session.close()


class Backend(Protocol):
    """An inference engine that opens stages of a bundle."""

    def artifact(self, bundle: Bundle, stage: StageSpec) -> Artifact:
        """The artifact that it opens for a stage. Raises MaskletError if the bundle has none."""
        ...

    def open(self, bundle: Bundle, stage: StageSpec) -> Session:
        """Open a stage. Raises SessionError naming the stage and the engine's error."""
        ...


class ChosenBackend(Backend, Protocol):
    """A backend as it runs.

    ran_on:         what runs each opened stage, as text for the log; empty if there is nothing to log.
    engine_machine: the machine that its engines were built for. Engines are compared with their graphs once on each
                    such machine; None if the backend runs the graphs of the bundle.
    """

    @property
    def ran_on(self) -> Mapping[str, str]: ...

    @property
    def engine_machine(self) -> str | None: ...


def check_tensors(stage: StageSpec, have: Collection[str]) -> None:
    """Raise SessionError if the graph of a stage has other inputs or outputs than declared."""
    want = {t.name for t in (*stage.inputs, *stage.outputs)}
    if set(have) != want:
        raise SessionError(f"stage {stage.name!r}: its graph has tensors {sorted(have)}, declared {sorted(want)}")
