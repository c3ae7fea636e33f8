"""Lines of NVIDIA's tegrastats, as boards from Xavier to Thor print them.

Format: docs.nvidia.com/jetson, "Tegrastats Utility". Names of sensors and rails differ between boards.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+))?")
# At the moment, then the mean, and in JetPack 7 a third figure of rails and a second one of sensors.
_HOT = re.compile(r"([\w.-]+)@(-?\d+(?:\.\d+)?)C(?:/\S+)?")
_RAIL = re.compile(r"(\d+)(?:mW)?(?:/\d+(?:mW)?){1,2}")
_NOT_A_SENSOR = -256  # what a sensor that is switched off reads


@dataclass(frozen=True, slots=True)
class TegraStats:
    """One line; None for what a board does not state.

    ram_used_mb, ram_mb: of the board, which CPU and GPU share.
    gpu_load:            0..1.
    gpu_mhz:             clock of the GPU, of its first cluster if there are several.
    temperatures_c:      by sensor. watts: by rail, at the moment.
    """

    ram_used_mb: float | None = None
    ram_mb: float | None = None
    gpu_load: float | None = None
    gpu_mhz: float | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    watts: Mapping[str, float] = field(default_factory=dict)


def parse_tegrastats(line: str) -> TegraStats:
    """Read a line; parts that are not understood are left out."""
    words = line.split()
    ram, gpu = _RAM.search(line), _GPU.search(line)
    hot = [match for word in words if (match := _HOT.fullmatch(word))]
    rails = [(name, match) for name, word in itertools.pairwise(words) if (match := _RAIL.fullmatch(word))]
    return TegraStats(
        ram_used_mb=float(ram[1]) if ram else None,
        ram_mb=float(ram[2]) if ram else None,
        gpu_load=float(gpu[1]) / 100 if gpu and gpu[1] else None,
        gpu_mhz=float(gpu[2]) if gpu and gpu[2] else None,
        temperatures_c={match[1]: float(match[2]) for match in hot if float(match[2]) > _NOT_A_SENSOR},
        watts={name: float(match[1]) / 1000 for name, match in rails},
    )
