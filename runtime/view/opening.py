"""Opens a view; what serves it is loaded only then."""

from typing import TYPE_CHECKING

from masklet.runtime.errors import MaskletError
from masklet.runtime.view.address import Address

if TYPE_CHECKING:
    from masklet.runtime.view.view import View


def open_view(option: str, text: str) -> "View":
    """A view at [HOST:]PORT. option: what asks for it, for messages.

    Raises MaskletError where the port cannot be taken, or the packages of masklet[view] are not installed.
    """
    address = Address.parse(option, text)
    try:
        from masklet.runtime.view.view import View
    except ImportError:
        raise MaskletError(f"{option} needs starlette, uvicorn and websockets; pip install 'masklet[view]'") from None
    return View(option, address)
