"""Where results go."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from masklet.runtime.cli.option_groups import OptionGroup, declared, given
from masklet.runtime.sinks.known import sink_kinds, sink_options
from typing_extensions import Self

if TYPE_CHECKING:
    from masklet.runtime.sinks.outputs import Outputs


@dataclass(frozen=True)
class OutputOptions(OptionGroup):
    """Where results go: an option for each kind of sink."""

    panel = "Outputs"
    targets: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parameters(cls) -> list[Any]:
        targets = [kind.option for kind in sink_kinds()]
        return declared([*targets, *sink_options()], cls.panel)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        settings = given({option.name: values.pop(option.name) for option in sink_options()}, sink_options())
        return cls({name: target for name, target in values.items() if target is not None}, settings)

    def outputs(self) -> "Outputs":
        """The sinks to open."""
        from masklet.runtime.sinks.outputs import Outputs

        return Outputs(self.targets, settings=self.settings)
