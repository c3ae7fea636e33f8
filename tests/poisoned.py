"""A session that computes NaN: what no comparison may let pass."""

import numpy as np
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.spec import Tensor


class Poisoned(SessionAround):
    """A session of whose outputs one holds a single NaN. first_only: on the first call, the later ones are right."""

    def __init__(self, session: Session, output: str, *, first_only: bool = False) -> None:
        super().__init__(session)
        self._output, self._first_only, self._calls = output, first_only, 0

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        outputs = super().run(feeds)
        self._calls += 1
        if self._first_only and self._calls > 1:
            return outputs
        value = np.array(outputs[self._output])
        value.flat[value.size // 2] = np.nan
        return {**outputs, self._output: value}
