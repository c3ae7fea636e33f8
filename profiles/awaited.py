"""Sessions that return when their outputs are there: on a GPU a stage is otherwise only started."""

from typing import Any

from masklet.runtime.backends.device_array import DeviceArray
from masklet.runtime.session import Feeds, Session
from masklet.runtime.spec import StageSpec, Tensor


class AwaitedSession:
    """Another session, whose work on the device is waited for, so that the time of a call is the stage's own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def spec(self) -> StageSpec:
        return self._session.spec

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        outputs = self._session.run(feeds)
        await_outputs(outputs)
        return outputs

    def close(self) -> None:
        self._session.close()


def await_outputs(outputs: dict[str, Tensor]) -> None:
    """Wait for outputs that were left on a device; there is one stream, so waiting for one waits for all."""
    left: Any = next((value for value in outputs.values() if isinstance(value, DeviceArray)), None)
    if left is not None:
        left.memory.synchronize()
