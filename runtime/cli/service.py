"""Installs, shows and removes services of systemd."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import typer
from masklet.runtime.cli.systemd_unit import SystemdUnit, check_name, secrets_path, unit_name, unit_path
from masklet.runtime.errors import MaskletError
from masklet.runtime.sources.password import hide_password

RUNNING = Path("/run/systemd/system")  # there while systemd runs this machine: sd_booted(3)


def checked_sources(unit: SystemdUnit, context: typer.Context) -> list[str]:
    """The sources of a unit's command, once `masklet run --dry-run` has accepted all of it.

    context: of the command line, which has the command. Raises MaskletError, one line.
    """
    root = context.find_root()
    run: Any = root.command.commands["run"]  # type: ignore[attr-defined]
    try:
        with run.make_context("run", ["--dry-run", *unit.command[1:]], parent=root) as called:
            run.invoke(called)
            return list(called.params["sources"])
    except Exception as error:
        if not hasattr(error, "format_message"):  # an error of the command line itself, which typer does not export
            raise
        raise MaskletError(f"service {unit.name}: run: {error.format_message()}") from None


def show(unit: SystemdUnit) -> None:
    """Print what `install` would write, without passwords."""
    typer.echo(f"# {unit_path(unit.name)}\n{unit.text()}", nl=False)
    if unit.secrets:
        typer.echo(
            f"\n# {secrets_path(unit.name)}, readable by root only\n{hide_password(unit.secrets_text())}", nl=False
        )


def install(unit: SystemdUnit) -> None:
    """Write the unit and start it, now and at each boot. Raises MaskletError."""
    _need_systemd(unit.name)
    try:
        if unit.secrets:
            _write(secrets_path(unit.name), unit.secrets_text(), 0o600)
        else:
            secrets_path(unit.name).unlink(missing_ok=True)
        _write(unit_path(unit.name), unit.text(), 0o644)
    except OSError as error:
        raise _not_allowed(unit.name, error) from None
    systemctl("daemon-reload")
    systemctl("enable", "--now", unit_name(unit.name))
    typer.echo(f"{unit_name(unit.name)} runs; its log: journalctl -fu {unit_name(unit.name)}")


def remove(name: str) -> None:
    """Stop a service and delete its unit and its environment file. Raises MaskletError."""
    _installed(name)
    systemctl("disable", "--now", unit_name(name))
    try:
        for path in (unit_path(name), secrets_path(name)):
            path.unlink(missing_ok=True)
    except OSError as error:
        raise _not_allowed(name, error) from None
    systemctl("daemon-reload")
    typer.echo(f"{unit_name(name)} is removed")


def status(name: str) -> int:
    """Show a service's state and last lines of its log; returns systemctl's exit code, 0 while it runs."""
    _installed(name)
    return subprocess.run(["systemctl", "--no-pager", "status", unit_name(name)], check=False).returncode


def systemctl(*words: str) -> None:
    """Run systemctl. Raises MaskletError, with what it said, if it fails."""
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        said = " ".join(hide_password(done.stderr or done.stdout).split())
        raise MaskletError(f"systemctl {' '.join(words)}: {said or f'exit code {done.returncode}'}")


def _installed(name: str) -> None:
    check_name(name)
    _need_systemd(name)
    if not unit_path(name).exists():
        known = sorted(path.name[8:-8] for path in unit_path(name).parent.glob("masklet-*.service"))
        raise MaskletError(f"service {name}: is not installed; installed: {', '.join(known) or 'none'}")


def _need_systemd(name: str) -> None:
    if shutil.which("systemctl") is None or not RUNNING.is_dir():
        raise MaskletError(f"service {name}: there is no systemd here; --dry-run prints the unit")


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file that never has other permissions than these."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
        file.write(text)
    beside.replace(path)


def _not_allowed(name: str, error: OSError) -> MaskletError:
    remedy = "; run it with sudo" if isinstance(error, PermissionError) else ""
    return MaskletError(f"service {name}: {error.filename}: {error.strerror}{remedy}")
