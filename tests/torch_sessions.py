"""Sessions that run a family's torch modules themselves: the runtime on a model without tracing it first."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from masklet.export.family import ExportStage, Family
from masklet.runtime.backends.session import Feeds, Session
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import StageSpec, Tensor


class TorchSession:
    """One stage, run by the module that would be exported."""

    def __init__(self, stage: ExportStage) -> None:
        self._stage = stage
        self._module = stage.module.eval()

    @property
    def spec(self) -> StageSpec:
        return self._stage.spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        self.spec.check(feeds)
        with torch.inference_mode():
            outputs = self._module(**{name: torch.tensor(feed) for name, feed in feeds.items()})
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return {t.name: out.numpy() for t, out in zip(self.spec.outputs, outputs, strict=True)}

    def close(self) -> None:
        """Nothing is held."""


def torch_sessions(
    family: Family,
    model: Any,
    assets: Callable[[str], Path] | None = None,
    wrap: Callable[[Session], Session] = lambda session: session,
) -> Sessions:
    """Every stage of a model, on torch. assets, wrap: as `Sessions` takes them."""
    played = {stage.spec.name: wrap(TorchSession(stage)) for stage in family.stages(model)}
    return Sessions(family.spec(model), played, assets)
