"""The power mode from nvpmodel's files, as JetPack 5 to 7 have them."""

from pathlib import Path

import pytest
from masklet.runtime.machine.host import Host
from masklet.runtime.machine.power_mode import power_mode

CONF = """# nvpmodel for p3767-0005
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
<POWER_MODEL ID=2 NAME=MAXN_SUPER>
< PM_CONFIG DEFAULT=1 >
"""


@pytest.mark.parametrize(
    ("status", "conf", "mode"),
    [
        ("pmode:0000\n", CONF, "15W"),
        ("pmode:0002 fmode:quiet\n", CONF, "MAXN_SUPER"),
        ("pmode:0007\n", CONF, "7"),
        ("pmode:0001\n", None, "1"),
        ("nonsense\n", CONF, None),
        (None, CONF, None),
    ],
)
def test_modes(tmp_path: Path, status: str | None, conf: str | None, mode: str | None) -> None:
    for name, text in (("var/lib/nvpmodel/status", status), ("etc/nvpmodel.conf", conf)):
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text(text)
    assert power_mode(Host(tmp_path)) == mode
