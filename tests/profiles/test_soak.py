"""The soak in short: its figures hold, with joins, leaves, losses, corrupt and dropped frames."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "profiles" / "benchmarks" / "soak.py"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads memory from Linux's /proc")
def test_a_short_soak(nano_bundle: Path) -> None:
    words = [str(nano_bundle), "--frames", "400", "--rate", "90", "--lose-every", "120"]
    soak = subprocess.run([sys.executable, str(SOAK), *words], capture_output=True, text=True)
    assert soak.returncode == 0, soak.stderr
    figures = next(line for line in soak.stdout.splitlines() if line.startswith("| 400 |"))
    captured, processed, dropped, corrupt, reconnects, joined, left = (
        int(cell) for cell in figures.strip("| ").split("|")[:7]
    )
    assert captured == processed + dropped + corrupt == 400
    assert (corrupt, reconnects) == (1, 3)
    assert joined >= left >= 1
