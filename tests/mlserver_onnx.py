"""MLServer, which runs the graphs of a bundle with ONNX Runtime. It imports no masklet.

    python mlserver_onnx.py FOLDER GRPC_PORT HTTP_PORT

FOLDER has a model-settings.json for each stage, with the path of its graph. Its command line is not used: it imports
Triton's HTTP client, which needs a compiler's worth of other packages.
"""

import asyncio
import sys
from typing import Any

import onnxruntime
from mlserver import MLModel, MLServer, Settings
from mlserver.codecs import NumpyCodec
from mlserver.repository.repository import SchemalessModelRepository
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxModel(MLModel):  # type: ignore[misc]
    """A graph, at `parameters.uri`, on one thread."""

    async def load(self) -> bool:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(self.settings.parameters.uri, options)
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        feeds = {given.name: NumpyCodec.decode_input(given) for given in payload.inputs}
        names = [port.name for port in self._session.get_outputs()]
        outputs = self._session.run(names, feeds)
        return InferenceResponse(
            model_name=self.name,
            model_version=self.version,
            outputs=[NumpyCodec.encode_output(name, out) for name, out in zip(names, outputs, strict=True)],
        )


async def main() -> None:
    folder, grpc_port, http_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    settings = Settings(
        host="127.0.0.1",
        grpc_port=grpc_port,
        http_port=http_port,
        metrics_endpoint=None,
        parallel_workers=0,
        debug=False,
        model_repository_root=folder,
    )
    await MLServer(settings).start(await SchemalessModelRepository(folder).list())


if __name__ == "__main__":
    asyncio.run(main())
