"""The verb `masklet service`. Imports here stay light, as in `verbs`."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer


def service(
    context: typer.Context,
    action: Annotated[Literal["install", "status", "remove"], typer.Argument(help="What to do.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="The service is called masklet-NAME.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="-- run BUNDLE SOURCE...", help="The command that it runs, to install it."),
    ] = None,
    user: Annotated[str, typer.Option(metavar="USER", help="User that it runs as.")] = "masklet",
    memory_max: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Limit of its memory, such as 2G; it is restarted beyond.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the unit, write nothing.")] = False,
) -> None:
    """Run a command of masklet as a systemd service.

    It starts at boot and is restarted if it fails. The command is checked first, as `masklet run --dry-run` does.
    Relative paths of the command refer to the current folder.
    """
    from masklet.runtime.cli import service as services
    from masklet.runtime.cli.systemd_unit import SystemdUnit

    if action == "install":
        unit = SystemdUnit(name, command or (), user, Path.cwd(), memory_max)
        unit = replace(unit, sources=services.checked_sources(unit, context))
        if dry_run:
            services.show(unit)
        else:
            services.install(unit)
    elif action == "remove":
        services.remove(name)
    else:
        raise typer.Exit(services.status(name))
