"""A server of the KServe V2 protocol in this process, for what MLServer does not offer: system shared memory.

It is written from the protocol's own service, as Triton's client library has it, and runs graphs with ONNX Runtime. It
can forget its regions as a restarted server does, refuse requests, and return tensors of a wrong shape.
"""

from collections import Counter
from concurrent import futures
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import grpc
import numpy as np
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.served_model import ServedModel
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import np_to_triton_dtype, triton_to_np_dtype

LIMIT = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class _Guard(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without a token, as a gateway before a server does."""

    def __init__(self, token: str) -> None:
        self._wanted = ("authorization", f"Bearer {token}")

    def intercept_service(self, handle: Any, call: Any) -> Any:
        if self._wanted in [(key, value) for key, value in call.invocation_metadata]:
            return handle(call)

        def refuse(request: Any, context: Any) -> Any:
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is missing or wrong")

        return grpc.unary_unary_rpc_method_handler(refuse)


class TritonLike(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Serves the stages of a bundle. calls: how often each RPC was called. wrong_shape: outputs lose their last column.
    refuses: every request ends with an error.
    shares: whether it opens regions; a server on another machine does not.
    tls: key and certificate (PEM), with which it speaks TLS. token: without which it answers nothing.
    """

    def __init__(
        self, bundle: Bundle, *, shares: bool = True, tls: tuple[bytes, bytes] | None = None, token: str | None = None
    ) -> None:
        self._stages = {}
        for stage in bundle.model.stages:
            model = ServedModel.of(bundle.model, OnnxRuntime(1).artifact(bundle, stage))
            self._stages[model.name, model.version] = stage, OnnxRuntime(1).open(bundle, stage)
        self.regions: dict[str, SharedMemory] = {}
        self.calls: Counter[str] = Counter()
        self.wrong_shape = self.refuses = False
        self._shares = shares
        guards = [] if token is None else [_Guard(token)]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), interceptors=guards, options=LIMIT)
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        here = "127.0.0.1:0"
        port = (
            self._server.add_insecure_port(here)
            if tls is None
            else self._server.add_secure_port(here, grpc.ssl_server_credentials([tls]))
        )
        self.url = f"127.0.0.1:{port}"
        self._server.start()

    def stop(self) -> None:
        """End it; regions that clients forgot stay open in this process, so none may be left."""
        self._server.stop(0).wait()

    def ServerMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ServerMetadataResponse(name="toy", version="1", extensions=["system_shared_memory"])

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=(request.name, request.version) in self._stages)

    def ModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        for (name, version), (stage, _) in self._stages.items():
            if name == request.name and request.version in ("", version):
                tensor = pb.ModelMetadataResponse.TensorMetadata
                inputs, outputs = ([tensor(name=t.name) for t in ts] for ts in (stage.inputs, stage.outputs))
                return pb.ModelMetadataResponse(name=name, versions=[version], inputs=inputs, outputs=outputs)
        return context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")

    def SystemSharedMemoryRegister(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls["register"] += 1
        if not self._shares:
            context.abort(grpc.StatusCode.INTERNAL, f"Unable to open shared memory region: '{request.key}'")
        region = SharedMemory(request.key)
        resource_tracker.unregister(f"/{region.name.lstrip('/')}", "shared_memory")  # it belongs to the client
        self.regions[request.name] = region
        return pb.SystemSharedMemoryRegisterResponse()

    def SystemSharedMemoryUnregister(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name in self.regions:
            self.regions.pop(request.name).close()
        return pb.SystemSharedMemoryUnregisterResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        _, session = self._stages[request.model_name, request.model_version]
        raw = iter(request.raw_input_contents)
        self.calls["infer"] += 1
        self.calls["raw inputs"] += len(request.raw_input_contents)
        if self.refuses:
            return context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape for input 'image'")
        try:
            feeds = {given.name: self._given(given, raw) for given in request.inputs}
            outputs = session.run(feeds)
        except KeyError as error:
            return context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Unable to find shared memory region: {error}")
        response = pb.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        for wanted in request.outputs:
            self._answer(response, wanted, outputs[wanted.name])
        return response

    def _given(self, given: Any, raw: Any) -> Any:
        dtype = np.dtype(triton_to_np_dtype(given.datatype))
        if "shared_memory_region" not in given.parameters:
            return np.frombuffer(next(raw), dtype).reshape(given.shape)
        return self._in_region(given.parameters, dtype, tuple(given.shape)).copy()

    def _answer(self, response: Any, wanted: Any, output: Any) -> None:
        output = np.ascontiguousarray(output[..., :-1]) if self.wrong_shape else output
        response.outputs.add(name=wanted.name, datatype=np_to_triton_dtype(output.dtype), shape=output.shape)
        if "shared_memory_region" in wanted.parameters:
            self._in_region(wanted.parameters, output.dtype, output.shape)[...] = output
        else:
            response.raw_output_contents.append(output.tobytes())

    def _in_region(self, said: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
        offset = said["shared_memory_offset"].int64_param if "shared_memory_offset" in said else 0
        return np.ndarray(shape, dtype, self.regions[said["shared_memory_region"].string_param].buf, offset)
