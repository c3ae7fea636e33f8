"""Progress of a build through TensorRT's progress monitor, which can also end the build."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from masklet.runtime.backends.trt.library import TensorRT

if TYPE_CHECKING:
    import tensorrt as trt

Steps = Callable[[str, int, int], None]  # called with the phase, steps done, total steps


def progress_monitor(
    library: TensorRT, config: "trt.IBuilderConfig", steps: Steps, interrupted: Callable[[], bool]
) -> None:
    """A monitor that reports the outermost phases of a build to `steps`, and ends it once it was interrupted."""
    if TYPE_CHECKING:
        import tensorrt as trt
    else:
        trt = library

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, unused-ignore]  # its types may be absent
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.totals: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            if not parent_phase:
                self.totals[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self.totals:
                steps(phase_name, step + 1, self.totals[phase_name])
            return not interrupted()

        def phase_finish(self, phase_name: str) -> None:
            self.totals.pop(phase_name, None)

    config.progress_monitor = Monitor()
