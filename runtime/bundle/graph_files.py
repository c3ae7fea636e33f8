"""The files of a stage's graphs: their names, and how the large constants that they share lie in one file.

ONNX calls this external data: a graph names file, offset and length of a constant that it does not hold itself.
Exporter and calibration write the same form. They edit graphs, this package does not; so it knows nothing of ONNX.
"""

from collections.abc import Iterable
from pathlib import Path

INLINE_BYTES = 1024  # smaller constants stay in the graph, where shape inference can see them
ALIGNMENT = 64  # of a constant in the file, in bytes


def graph_file(stage: str, format: str) -> str:
    """The name of a stage's graph: STAGE.onnx for "onnx", STAGE.ort.onnx for "onnx-ort"."""
    return f"{stage}{format.removeprefix('onnx').replace('-', '.')}.onnx"


def weights_file(stage: str) -> str:
    """The name of the file that has the large constants of all graphs of a stage."""
    return f"{stage}.weights"


class WeightsLayout:
    """Gives each large constant of a stage its place in the weights file, one after another."""

    def __init__(self, stage: str) -> None:
        self._file, self._end = weights_file(stage), 0

    def place(self, length: int) -> dict[str, str]:
        """The place of the next constant, of `length` bytes, in the words of ONNX's external data."""
        start = self._end + -self._end % ALIGNMENT
        self._end = start + length
        return {"location": self._file, "offset": str(start), "length": str(length)}


def write_weights(root: Path, stage: str, constants: Iterable[bytes]) -> str:
    """Write the constants of a stage below `root`, in the order in which they were placed; returns the file's name."""
    name = weights_file(stage)
    with (root / name).open("wb") as file:
        for raw in constants:
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            file.write(raw)
    return name
