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
        """Run the stage on feeds that match its declaration.

        Returns every declared output. Outputs belong to the caller: a later run does not overwrite them.
        Raises SpecError where a feed does not match, SessionError where the backend fails.
        """
        ...

    def close(self) -> None:
        """Give the stage's memory back; it cannot be run again."""
        ...


class SessionAround:
    """A session around a session: the same stage, with something done when it runs. What wraps overrides `run`."""

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
        """What it opens of a stage. Raises MaskletError where the bundle has nothing for it."""
        ...

    def open(self, bundle: Bundle, stage: StageSpec) -> Session:
        """Open a stage. Raises SessionError naming the stage and what the engine said."""
        ...


class ChosenBackend(Backend, Protocol):
    """A backend as it runs.

    ran_on:         what runs each opened stage, in words, where that is worth a log line; empty otherwise.
    engine_machine: the machine that its engines were built for. Engines are compared with their graphs once on each
                    such machine; None where a backend runs the bundle's graphs themselves.
    """

    @property
    def ran_on(self) -> Mapping[str, str]: ...

    @property
    def engine_machine(self) -> str | None: ...


def check_tensors(stage: StageSpec, have: Collection[str]) -> None:
    """Raise SessionError where the graph of a stage has other inputs and outputs than the stage declares."""
    want = {t.name for t in (*stage.inputs, *stage.outputs)}
    if set(have) != want:
        raise SessionError(f"stage {stage.name!r}: its graph has tensors {sorted(have)}, declared {sorted(want)}")
