"""Collects TensorRT's log: its errors become one line, and the list of layers is read from it."""

from typing import TYPE_CHECKING

from masklet.runtime.backends.trt.library import TensorRT

if TYPE_CHECKING:
    import tensorrt as trt


class Messages:
    """The collected log. verbose: lines that are not errors, including warnings, if they are collected."""

    def __init__(self) -> None:
        self.errors: list[str] = []
        self.verbose: list[str] = []

    def first_error(self) -> str:
        """The first error, without the position in TensorRT's source; later ones follow from it."""
        return " ".join(self.errors[0].split()) if self.errors else "no reason given"


def logger(library: TensorRT, messages: Messages, *, verbose: bool = False) -> "trt.ILogger":
    """A logger that collects into `messages` and prints nothing."""
    if TYPE_CHECKING:
        import tensorrt as trt
    else:
        trt = library

    class Collecting(trt.ILogger):  # type: ignore[misc, unused-ignore]  # its types may be absent
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
            if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
                messages.errors.append(msg)
            elif verbose:
                messages.verbose.append(msg)

    return Collecting()
