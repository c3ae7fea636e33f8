"""Model servers of the KServe V2 protocol as processes of their own: MLServer, which runs a bundle's graphs."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.served_model import ServedModel

HERE = Path(__file__).parent
MLSERVER = Path(sys.prefix) / "servers" / "mlserver"  # .ci/run installs it there, as it needs older packages
PATIENCE_S = 60


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_mlserver_models(bundle: Bundle, folder: Path) -> None:
    """A folder of MLServer's settings: every stage by its graph for ONNX Runtime."""
    for stage in bundle.model.stages:
        artifact = bundle.artifact(stage.name, ("onnx-ort", "onnx"))
        model = ServedModel.of(bundle.model, artifact)
        settings = {
            "name": model.name,
            "versions": [model.version],
            "implementation": "mlserver_onnx.OnnxModel",
            "parameters": {"uri": str(bundle.path(artifact).resolve()), "version": model.version},
        }
        place = folder / stage.name
        place.mkdir(parents=True)
        (place / "model-settings.json").write_text(json.dumps(settings))


@dataclass
class MlServer:
    """MLServer on a folder of models. It can be killed, and started again at the same address."""

    models: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """The address of its gRPC service."""
        return f"127.0.0.1:{self.port}"

    def start(self, *, wait: bool = True) -> None:
        """Start it. wait: until every model is loaded."""
        path = os.pathsep.join(map(str, (MLSERVER, HERE)))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "mlserver_onnx.py"), str(self.models), str(self.port), str(free_port())],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=(self.models / "log").open("ab"),
        )
        if wait:
            self._wait()

    def kill(self) -> None:
        """End it as a crash does."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _wait(self) -> None:
        import tritonclient.grpc

        assert self.process is not None
        client = tritonclient.grpc.InferenceServerClient(self.url)
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if client.is_server_ready(client_timeout=5):
                    return
            except tritonclient.grpc.InferenceServerException:
                pass
            time.sleep(0.2)
        pytest.fail(f"MLServer did not start: {(self.models / 'log').read_text()[-2000:]}")
