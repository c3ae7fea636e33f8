"""Groups of options: each is declared once as a dataclass and passed to any command as one typed object.

    @grouped
    def run(bundle: BundleFolder, prompts: PromptOptions, backend: BackendOptions) -> None: ...

Typer sees the fields of each group as options of their own; the function gets `prompts` and `backend` as objects.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from functools import wraps
from typing import Annotated, Any, ClassVar, Literal, get_args, get_type_hints

import typer
from masklet.runtime.option import Option
from typing_extensions import Self


class OptionGroup:
    """A dataclass of options. panel: the heading under which `--help` shows them."""

    panel: ClassVar[str] = "Options"

    @classmethod
    def parameters(cls) -> list[inspect.Parameter]:
        """The options as parameters of a command, with the defaults of the fields."""
        hints = get_type_hints(cls, include_extras=True)
        return [
            parameter(one.name, in_panel(hints[one.name], cls.panel), _default(one))
            for one in fields(cls)  # type: ignore[arg-type]
        ]

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """The group from the values of its parameters."""
        return cls(**values)


def grouped(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups of options: every parameter that is an `OptionGroup` is spread into its options."""
    groups: dict[str, tuple[type[OptionGroup], list[str]]] = {}
    spread: list[inspect.Parameter] = []
    # In Python 3.10 get_type_hints wraps what has None as its default: typer would no longer see its own part.
    for own in inspect.signature(command, eval_str=True).parameters.values():
        kind = own.annotation
        if isinstance(kind, type) and issubclass(kind, OptionGroup):
            taken = kind.parameters()
            groups[own.name] = kind, [one.name for one in taken]
            spread += taken
        else:
            spread.append(parameter(own.name, kind, own.default))

    @wraps(command)
    def call(**values: Any) -> None:
        for name, (kind, names) in groups.items():
            values[name] = kind.from_values({one: values.pop(one) for one in names})
        command(**values)

    call.__signature__ = inspect.Signature(spread)  # type: ignore[attr-defined]
    call.__annotations__ = {one.name: one.annotation for one in spread}
    return call


def declared(options: Sequence[Option], panel: str) -> list[inspect.Parameter]:
    """Options that backends, sources and sinks declare, as parameters of a command."""
    return [parameter(one.name, _annotation(one, panel), one.default) for one in options]


def parameter(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """A parameter that is given by name."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def in_panel(annotation: Any, panel: str) -> Any:
    """An annotated option under a heading of `--help`."""
    for info in get_args(annotation)[1:]:
        if isinstance(info, typer.models.OptionInfo):
            info.rich_help_panel = panel
    return annotation


def _annotation(one: Option, panel: str) -> Any:
    kind: Any = Literal[one.choices] if one.choices else one.kind
    if one.default is None and kind is not bool:
        kind = kind | None
    names = [name for name in (one.short, one.flag) if name]
    return Annotated[kind, typer.Option(*names, help=one.help, metavar=one.metavar, rich_help_panel=panel)]


def _default(one: Any) -> Any:
    return one.default_factory() if one.default is MISSING else one.default


def given(values: dict[str, Any], options: Any) -> dict[str, Any]:
    """The values that were given: those that differ from their option's default."""
    defaults = {option.name: option.default for option in options}
    return {name: value for name, value in values.items() if value != defaults[name]}
