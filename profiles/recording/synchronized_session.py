"""Sessions that wait for their outputs; on a GPU a call otherwise returns before the stage has finished."""

from typing import Any

from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.session import Feeds, SessionAround
from masklet.runtime.bundle.spec import Tensor


class AwaitedSession(SessionAround):
    """Wraps a session and waits for its work on the device, so that the time of a call is that of the stage."""

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        outputs = super().run(feeds)
        await_outputs(outputs)
        return outputs


def await_outputs(outputs: dict[str, Tensor]) -> None:
    """Wait for outputs that are on a device. There is one CUDA stream, so waiting for one output waits for all."""
    left: Any = next((value for value in outputs.values() if isinstance(value, DeviceArray)), None)
    if left is not None:
        left.memory.synchronize()
