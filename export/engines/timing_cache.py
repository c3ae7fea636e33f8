"""The timing cache: measured tactics, kept between builds, so that a second build measures nothing again."""

from pathlib import Path
from typing import TYPE_CHECKING

from masklet.runtime.errors import ExportError
from masklet.runtime.sinks.output_file import write_whole

if TYPE_CHECKING:
    import tensorrt as trt


def use_timing_cache(config: "trt.IBuilderConfig", path: Path) -> None:
    """Use the cache at `path`, or an empty one if there is no file. Raises ExportError for one of another device."""
    try:
        known = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ExportError(f"{path}: the timing cache cannot be read: {error.strerror}") from None
    cache = config.create_timing_cache(known)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        raise ExportError(f"{path}: not a timing cache of this TensorRT and GPU; give another file, or delete it")


def keep_timing_cache(config: "trt.IBuilderConfig", path: Path) -> None:
    """Write the cache after a build, as a whole or not at all."""
    cache = config.get_timing_cache()
    if cache is not None:
        write_whole(path, bytes(cache.serialize()))
