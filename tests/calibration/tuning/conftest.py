"""The checkpoint that ships, as a bundle to be tuned."""

from pathlib import Path

import pytest
from evaluate import CHECKPOINT
from made_once import made_once
from masklet.runtime.backends.known import backend_kinds


@pytest.fixture(scope="session")
def tuned_from(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Variants for 128 px, the same with foveated memories, and for 64 px."""

    def export(path: Path) -> None:
        from masklet.export.family import Form
        from masklet.export.pipeline import export_bundle

        export_bundle(str(CHECKPOINT), path, [Form(128), Form(128, True), Form(64)])

    return made_once(tmp_path_factory, "tuned-from.bundle", export)


@pytest.fixture
def onnxruntime_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No backend that first has to compile."""
    kinds = {"onnxruntime": backend_kinds()["onnxruntime"]}
    monkeypatch.setattr("masklet.calibration.tuning.stage_times.backend_kinds", lambda: kinds)
