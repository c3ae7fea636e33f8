"""Skips tests where GStreamer's Python bindings, or elements that they need, are not installed."""

import pytest
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.gst.elements import has_element
from masklet.runtime.sources.gst.library import load_gstreamer


def need_gstreamer(*elements: str) -> None:
    """Skip, saying what is missing, unless GStreamer is here with these elements."""
    try:
        load_gstreamer()
    except SourceError as missing:
        pytest.skip(str(missing))
    lacking = [name for name in elements if not has_element(name)]
    if lacking:
        pytest.skip(f"GStreamer has no {', '.join(lacking)} here")
