"""A reference page for each command, from the program itself."""

import re
from collections.abc import Iterator
from typing import Any

import typer.main
from masklet.runtime.cli.help_panels import help_record
from masklet.runtime.cli.main import app

FOLDER = "reference/commands"


def command_pages() -> dict[str, str]:
    """The pages of all commands, by their path on the site."""
    pages = {f"{FOLDER}/{'-'.join(words)}.md": _page(words, command) for words, command in commands()}
    rows = "\n".join(f"| [`masklet {' '.join(w)}`]({'-'.join(w)}.md) | {_prose(_summary(c))} |" for w, c in commands())
    order = "".join(f"  - {'-'.join(words)}.md\n" for words, _ in commands())
    return pages | {
        f"{FOLDER}/index.md": f"# Commands\n\n| command | does |\n| --- | --- |\n{rows}\n",
        f"{FOLDER}/.nav.yml": f"title: Commands\nnav:\n  - index.md\n{order}",
    }


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with the words that name it, groups by their members, in the order of `masklet --help`."""
    yield from _members((), typer.main.get_command(app()))


def _members(words: tuple[str, ...], group: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _members((*words, name), command)
        elif not command.hidden:
            yield (*words, name), command


def _summary(command: Any) -> str:
    return (command.help or "").strip().split("\n")[0]


def _page(words: tuple[str, ...], command: Any) -> str:
    name = " ".join(("masklet", *words))
    context = command.context_class(command, info_name=name)
    usage = command.get_usage(context).removeprefix("Usage: ")
    tables: dict[str, list[str]] = {}
    for parameter in command.get_params(context):
        record = help_record(parameter, context)
        if record is not None:
            kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
            row = f"| `{record[0]}` | {_prose(' '.join(record[1].split()))} |"
            tables.setdefault(parameter.rich_help_panel or kind, []).append(row)
    parts = [f"---\ntitle: {words[-1]}\n---\n# {name}\n", _prose(command.help or ""), f"\n```text\n{usage}\n```\n"]
    for title, rows in tables.items():
        parts.append(f"\n## {title}\n\n| | |\n| --- | --- |\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def _prose(text: str) -> str:
    """Help text as Markdown: what is not between backticks loses its meaning to Markdown."""
    parts = text.split("`")
    return "`".join(part if index % 2 else _escaped(part) for index, part in enumerate(parts))


def _escaped(text: str) -> str:
    return re.sub(r"([\\\[\]{}*_|])", r"\\\1", text).replace("<", "&lt;").replace(">", "&gt;")
