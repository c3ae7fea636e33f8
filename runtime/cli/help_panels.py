"""Help of a command, its options under the headings of their groups."""

from typing import Any

from typer.core import TyperCommand


class GroupedHelp(TyperCommand):
    """A command whose help lists options by group, in the order of their first option."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx)
            if record is not None:
                heading = "Arguments" if one.param_type_name == "argument" else getattr(one, "rich_help_panel", None)
                sections.setdefault(heading or "Options", []).append(record)
        general = sections.pop("Options", None)
        for heading, records in [*sections.items(), *([("Options", general)] if general else [])]:
            with formatter.section(heading):
                formatter.write_dl(records)
