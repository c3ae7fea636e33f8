"""Sessions that return when their outputs are there: on a GPU a stage is otherwise only started."""

from typing import Any

from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.session import Feeds, SessionAround
from masklet.runtime.bundle.spec import Tensor


class AwaitedSession(SessionAround):
    """Another session, whose work on the device is waited for, so that the time of a call is the stage's own."""

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        outputs = super().run(feeds)
        await_outputs(outputs)
        return outputs


def await_outputs(outputs: dict[str, Tensor]) -> None:
    """Wait for outputs that were left on a device; there is one stream, so waiting for one waits for all."""
    left: Any = next((value for value in outputs.values() if isinstance(value, DeviceArray)), None)
    if left is not None:
        left.memory.synchronize()
