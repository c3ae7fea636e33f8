"""Opens views; what serves them is loaded only then."""

from typing import TYPE_CHECKING

from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.errors import MaskletError
from masklet.runtime.view.address import Address

if TYPE_CHECKING:
    from masklet.runtime.view.annotation_view import AnnotationView
    from masklet.runtime.view.view import View

WANTED = "{} needs starlette, uvicorn and websockets; pip install 'masklet[view]'"


def open_view(option: str, text: str, times: StageTimes) -> "View":
    """A view of streams at [HOST:]PORT. option: what asks for it, for messages; times: put around the sessions.

    Raises MaskletError where the port cannot be taken, or the packages of masklet[view] are not installed.
    """
    address = Address.parse(option, text)
    try:
        from masklet.runtime.view.view import View
    except ImportError:
        raise MaskletError(WANTED.format(option)) from None
    return View(option, address, times)


def open_annotation_view(option: str, text: str, times: StageTimes) -> "AnnotationView":
    """The page of an annotation at [HOST:]PORT. times: put around its sessions. Raises MaskletError as `open_view`."""
    address = Address.parse(option, text)
    try:
        from masklet.runtime.view.annotation_view import AnnotationView
    except ImportError:
        raise MaskletError(WANTED.format("masklet annotate")) from None
    return AnnotationView(option, address, times)
