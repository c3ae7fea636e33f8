"""The power mode of a Jetson, from the two files that nvpmodel keeps: no process, no root."""

import re

from masklet.runtime.machine.host import Host

_NOW = re.compile(r"\bpmode:(\d+)")
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")


def power_mode(host: Host) -> str | None:
    """Its name, such as MAXN or 15W; its number if the list of modes does not name it; None elsewhere."""
    now = _NOW.search(host.text("var/lib/nvpmodel/status") or "")
    if now is None:
        return None
    number = int(now[1])
    names = {int(mode[1]): mode[2] for mode in _MODE.finditer(host.text("etc/nvpmodel.conf") or "")}
    return names.get(number, str(number))
