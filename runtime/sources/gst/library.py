"""Loads GStreamer's Python bindings: those of the environment, or the system's python3-gi."""

import ctypes
import sys
from contextlib import suppress
from functools import cache
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

from masklet.runtime.errors import SourceError

# Where Debian, Ubuntu and JetPack install python3-gi. It fits if the environment has the system's version of Python.
SYSTEM_PACKAGES = ("/usr/lib/python3/dist-packages",)
PACKAGES = (
    "sudo apt-get install python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
    "gstreamer1.0-libav"
)


class GStreamerMissingError(SourceError):
    """GStreamer, or an element that a pipeline needs, is not installed; the message says what brings it."""


@cache
def load_gstreamer() -> Any:
    """GStreamer's module `Gst`, initialised. Raises GStreamerMissingError, naming what to install, if there is none."""
    _keep_unwinder()
    gi = _import_gi()
    try:
        gi.require_version("Gst", "1.0")
        gi.require_version("GstApp", "1.0")
        from gi.repository import Gst, GstApp  # noqa: F401 GstApp gives appsink its methods
    except (ValueError, ImportError):
        raise GStreamerMissingError(f"GStreamer is not installed; {PACKAGES}") from None
    started, _ = Gst.init_check(None)
    if not started:
        raise GStreamerMissingError("GStreamer is installed but does not start; gst-inspect-1.0 shows why")
    return Gst


def gstreamer_version() -> str:
    """Such as "1.22.0". Raises GStreamerMissingError as `load_gstreamer`."""
    return ".".join(map(str, load_gstreamer().version()[:3]))


def _keep_unwinder() -> None:
    """Let C++ libraries that are loaded later, as ONNX Runtime, unwind their exceptions by libgcc, as they must.

    gi loads libgstreamer, and with it libunwind, whose functions have the names of libgcc's, for all to see. The first
    library with a name is taken; otherwise an exception within such a library aborts the process.
    """
    with suppress(OSError):  # a system without libgcc
        ctypes.CDLL("libgcc_s.so.1", mode=ctypes.RTLD_GLOBAL)


def _import_gi() -> Any:
    """The module `gi`. Only it is taken from the system's packages, so that nothing else of them gets in the way."""
    try:
        import gi
    except ImportError:
        spec = PathFinder.find_spec("gi", list(SYSTEM_PACKAGES))
        if spec is None or spec.loader is None:
            raise GStreamerMissingError(f"GStreamer cannot be used, since python3-gi is missing; {PACKAGES}") from None
        sys.modules["gi"] = gi = module_from_spec(spec)
        try:
            spec.loader.exec_module(gi)
        except ImportError:
            for name in [name for name in sys.modules if name.partition(".")[0] == "gi"]:
                del sys.modules[name]
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise GStreamerMissingError(
                f"GStreamer cannot be used, since the system's python3-gi is not for Python {version}; use the "
                "system's, or apt-get install libgirepository1.0-dev libcairo2-dev and pip install 'PyGObject<3.52'"
            ) from None
    return gi
