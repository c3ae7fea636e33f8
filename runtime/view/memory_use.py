"""How much memory this process uses."""

import resource
from pathlib import Path


def memory_mb() -> float:
    """Resident memory in MiB."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # no Linux: the most that it ever was, which macOS counts in bytes
        return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)
    return round(pages * resource.getpagesize() / 2**20, 1)
