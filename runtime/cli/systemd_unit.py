"""A systemd unit that runs a command of masklet."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from masklet.runtime.errors import MaskletError
from masklet.runtime.sources.environment import PREFIX, from_environment
from masklet.runtime.sources.password import hide_password

_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_SIZE = re.compile(r"\d+(\.\d+)?[KMGT]?|\d+%|infinity")
_NAME_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")


@dataclass(frozen=True, slots=True)
class SystemdUnit:
    """A service, called masklet-NAME.

    command:    words after `masklet`.
    user:       user that it runs as; it is put into the group `video`.
    folder:     working directory, to which relative paths of the command refer.
    memory_max: limit of its memory as systemd writes it, such as 2G; None for none.
    sources:    words of the command that are sources; one with a password is given as env:NAME.
    Raises MaskletError.
    """

    name: str
    command: Sequence[str]
    user: str
    folder: Path
    memory_max: str | None = None
    program: Path = Path(sys.executable).parent / "masklet"
    sources: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.command or self.command[0] != "run":
            raise MaskletError(
                f"service {self.name}: expected the command after --, such as: -- run tiny.bundle rtsp://... --box ..."
            )
        if any(sign in word for word in (*self.command, str(self.folder)) for sign in "\n\r\0"):
            raise MaskletError(f"service {self.name}: a word of the command or the current folder has a line break")
        if not _USER.fullmatch(self.user):
            raise MaskletError(f"service {self.name}: expected the name of a user, such as masklet, got {self.user!r}")
        if self.memory_max is not None and not _SIZE.fullmatch(self.memory_max):
            raise MaskletError(f"service {self.name}: expected a size of memory, such as 2G, got {self.memory_max!r}")

    @property
    def secrets(self) -> dict[str, str]:
        """Words of the command with a password in them, and sources that are env:NAME, by their variables."""
        given = {one.removeprefix(PREFIX): from_environment(one) for one in self.sources if one.startswith(PREFIX)}
        return {name: word for word, name in self._hidden().items()} | given

    def _hidden(self) -> dict[str, str]:
        """The variable that stands for each word with a password."""
        secret = [word for word in self.command if hide_password(word) != word]
        return {word: f"MASKLET_SECRET_{n}" for n, word in enumerate(dict.fromkeys(secret), 1)}

    def _written(self, word: str) -> str:
        """A word of the command as ExecStart has it."""
        name = self._hidden().get(word)
        if name is None:
            return quoted(word)
        return f"{PREFIX}{name}" if word in self.sources else f'"${{{name}}}"'

    def text(self) -> str:
        """The unit. Words with a password are read from `secrets_path`, which only root can read."""
        words = [self._written(word) for word in self.command]
        lines = [
            "[Unit]",
            f"Description=masklet {self.name}",
            "After=network-online.target",
            "Wants=network-online.target",
            "",
            "[Service]",
            "Type=exec",
            f"User={self.user}",
            "SupplementaryGroups=video",
            "StateDirectory=masklet",
            f"WorkingDirectory={_escaped(str(self.folder))}",
            *([f"EnvironmentFile={secrets_path(self.name)}"] if self.secrets else []),
            f"ExecStart={' '.join([quoted(str(self.program)), *words])}",
            "KillSignal=SIGTERM",
            "SuccessExitStatus=130",
            "Restart=on-failure",
            "RestartSec=5",
            "NoNewPrivileges=true",
            *([f"MemoryMax={self.memory_max}"] if self.memory_max else []),
            "",
            "[Install]",
            "WantedBy=multi-user.target",
        ]
        return "\n".join(lines) + "\n"

    def secrets_text(self) -> str:
        """The environment file with the words that have a password."""
        return "".join(f"{name}={_in_quotes(word)}\n" for name, word in self.secrets.items())


def check_name(name: str) -> None:
    """Raise MaskletError for what cannot be the name of a unit."""
    if not name or not set(name) <= _NAME_SIGNS or name[0] in ".-":
        raise MaskletError(f"service {name!r}: expected a name of letters, digits, - _ and ., such as door")


def unit_name(name: str) -> str:
    """Such as masklet-door.service."""
    return f"masklet-{name}.service"


def unit_path(name: str) -> Path:
    """Where the unit is, below the root of the file system."""
    return Path("/etc/systemd/system") / unit_name(name)


def secrets_path(name: str) -> Path:
    """Where its environment file is."""
    return Path("/etc/masklet") / f"{name}.env"


def quoted(word: str) -> str:
    """A word of ExecStart as systemd reads it (systemd.service, "Command lines"; systemd.syntax, "Quoting")."""
    escaped = _escaped(word).replace("$", "$$")
    plain = all(sign.isalnum() or sign in "-_./:=,@+%$" for sign in escaped)
    return escaped if escaped and plain else _in_quotes(escaped)


def _escaped(word: str) -> str:
    return word.replace("%", "%%")


def _in_quotes(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'
