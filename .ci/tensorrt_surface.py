"""TensorRT's own classes satisfy the protocols that the runtime is written to, and that the tests' fakes satisfy.

Read by mypy alone, against the types of each version in `.ci/tensorrt`.
"""

import tensorrt
from masklet.runtime.backends.trt.engine import Context, Engine
from masklet.runtime.backends.trt.library import TensorRT


def library() -> TensorRT:
    return tensorrt


def engine(real: tensorrt.ICudaEngine) -> Engine:
    return real


def context(real: tensorrt.IExecutionContext) -> Context:
    return real
