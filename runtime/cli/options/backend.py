"""What runs the stages."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer
from masklet.runtime.backends.known import backend_kinds, backend_options
from masklet.runtime.cli.option_groups import OptionGroup, declared, given, parameter
from typing_extensions import Self

if TYPE_CHECKING:
    from masklet.runtime.startup.backend_choice import BackendChoice


DEFAULT_BACKEND = "onnxruntime"


@dataclass(frozen=True)
class BackendOptions(OptionGroup):
    """What runs the stages. settings: the options of one backend, by name."""

    panel = "Backend"
    backend: str = DEFAULT_BACKEND
    threads: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parameters(cls) -> list[Any]:
        names = list(backend_kinds())
        own: dict[str, Any] = {
            "backend": Annotated[
                str,
                typer.Option(
                    metavar="|".join(names),
                    help="What runs the stages; TensorRT needs the engines that `masklet build` makes.",
                    rich_help_panel=cls.panel,
                ),
            ],
            "threads": Annotated[
                int | None,
                typer.Option(min=1, help="Threads of each stage; all cores by default.", rich_help_panel=cls.panel),
            ],
        }
        return [
            parameter("backend", own["backend"], DEFAULT_BACKEND),
            *declared(backend_options(), cls.panel),
            parameter("threads", own["threads"], None),
        ]

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        return cls(values.pop("backend"), values.pop("threads"), given(values, backend_options()))

    def choice(self) -> "BackendChoice":
        """The backend. Raises SessionError if it does not have a given option."""
        from masklet.runtime.startup.backend_choice import BackendChoice

        return BackendChoice(self.backend, self.threads, self.settings)
