"""Help of a command, its options under the headings of their groups."""

import re
from typing import Any

from typer.core import TyperCommand

_TYPE = re.compile(r" <[^<>|]*>")
_SHOWN = {"int": "N", "float": "N", "int range": "N", "float range": "N", "path": "PATH"}


class GroupedHelp(TyperCommand):
    """A command whose help lists options by group, in the order of their first option."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            record = help_record(one, ctx)
            if record is not None:
                heading = "Arguments" if one.param_type_name == "argument" else getattr(one, "rich_help_panel", None)
                sections.setdefault(heading or "Options", []).append(record)
        general = sections.pop("Options", None)
        for heading, records in [*sections.items(), *([("Options", general)] if general else [])]:
            with formatter.section(heading):
                formatter.write_dl(records)


def help_record(parameter: Any, context: Any) -> tuple[str, str] | None:
    """How a parameter is written, and its text: N for a number, PATH and TEXT, an argument by its name alone."""
    record = parameter.get_help_record(context)
    if record is None:
        return None
    form, text = record
    if parameter.param_type_name == "argument":
        return _TYPE.sub("", form), text
    return _TYPE.sub(lambda found: f" {_SHOWN.get(found[0][2:-1], 'TEXT')}", form), text
