"""The opened stages of one model."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Backend, Feeds, Session
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import ModelSpec, Tensor
from masklet.runtime.errors import BundleError
from typing_extensions import Self


class Sessions:
    """The opened stages of one model. Trackers of several streams may share them.

    assets: returns the path of an asset of the model; None if there are none.
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

        backend: runs the stages; None for ONNX Runtime on the CPU.
        wrap:    wraps every session, for example to time or record it.
        If a stage cannot be opened, those already open are closed.
        """
        backend = OnnxRuntime() if backend is None else backend
        opened: dict[str, Session] = {}
        with ExitStack() as on_failure:
            for stage in bundle.model.stages:
                session = backend.open(bundle, stage)
                on_failure.callback(session.close)
                opened[stage.name] = wrap(session) if wrap else session
            on_failure.pop_all()
        return cls(bundle.model, opened, bundle.asset)

    def run(self, stage: str, feeds: Feeds) -> dict[str, Tensor]:
        """Run a stage; inputs that this variant of the model does not have are left out."""
        session = self._by_stage[stage]
        taken = session.spec.input_names
        return session.run({name: feed for name, feed in feeds.items() if name in taken})

    def has(self, stage: str) -> bool:
        """Whether the model has such a stage."""
        return stage in self._by_stage

    def asset(self, name: str) -> Path:
        """A file that the model needs besides its graphs. Raises BundleError if it does not exist."""
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
