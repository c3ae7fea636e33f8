"""A session runs one stage. Whatever wraps a stage (recording, timing, comparing) is a session around a session."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from masklet.runtime.bundle import Artifact, Bundle
from masklet.runtime.errors import BundleError
from masklet.runtime.spec import ModelSpec, StageSpec, Tensor

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


class Sessions:
    """The opened stages of one model. Trackers of several streams may share them.

    assets: says where the model's files beside its graphs are; None where there are none.
    """

    def __init__(
        self, model: ModelSpec, by_stage: Mapping[str, Session], assets: Callable[[str], Path] | None = None
    ) -> None:
        self.model = model
        self._by_stage = dict(by_stage)
        self._assets = assets

    @classmethod
    def open(
        cls, bundle: Bundle, backend: Backend | None = None, wrap: Callable[[Session], Session] | None = None
    ) -> Self:
        """Open every stage of a bundle.

        backend: what runs the stages; ONNX Runtime on the CPU where None.
        wrap:    put around every session, to time or record what passes through it.
        Where a stage cannot be opened, those that were are closed again.
        """
        if backend is None:
            from masklet.runtime.backends.onnxrt import OnnxRuntime

            backend = OnnxRuntime()
        opened: dict[str, Session] = {}
        with ExitStack() as on_failure:
            for stage in bundle.model.stages:
                session = backend.open(bundle, stage)
                on_failure.callback(session.close)
                opened[stage.name] = wrap(session) if wrap else session
            on_failure.pop_all()
        return cls(bundle.model, opened, bundle.asset)

    def run(self, stage: str, feeds: Feeds) -> dict[str, Tensor]:
        """Run a stage; feeds that this variant of the model does not take are left out."""
        session = self._by_stage[stage]
        return session.run({name: feed for name, feed in feeds.items() if session.spec.accepts(name)})

    def has(self, stage: str) -> bool:
        """Whether the model has such a stage."""
        return stage in self._by_stage

    def asset(self, name: str) -> Path:
        """A file that the model needs beside its graphs. Raises BundleError where it is not there."""
        if self._assets is None:
            raise BundleError(f"model {self.model.family}/{self.model.variant} was opened without its asset {name!r}")
        return self._assets(name)

    def close(self) -> None:
        """Close every session."""
        for session in self._by_stage.values():
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
