"""A model server that runs the stages of `nano_bundle`, and clips to track."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tritonclient.grpc", reason="Triton's client library: pip install --no-deps tritonclient grpcio")

from masklet.runtime.bundle.bundle import Bundle
from model_servers import MLSERVER, MlServer, write_mlserver_models


@pytest.fixture(scope="module")
def bundle(nano_bundle: Path) -> Bundle:
    return Bundle.load(nano_bundle)


@pytest.fixture(scope="module")
def mlserver(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlServer]:
    """MLServer with the stages of the bundle, started once for a file of tests."""
    if not MLSERVER.is_dir():
        pytest.skip(f"{MLSERVER}: MLServer is not installed there; see .ci/run")
    models = tmp_path_factory.mktemp("mlserver")
    write_mlserver_models(bundle, models)
    server = MlServer(models)
    server.start()
    yield server
    server.kill()
