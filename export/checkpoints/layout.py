"""How the authors of a model lay out its files: what tells them apart, names of tensors, and what shapes say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from masklet.export.checkpoints.name_map import NameMap
from masklet.export.checkpoints.settings import Settings

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layout:
    """The files of one family of models.

    name:      what it is called to users, and by `--family`.
    marks:     names that every such file has; together, no file of another layout has them.
    names:     the map to the names of `model_type`.
    configure: shapes under their names, and settings of a YAML file, to the model type and its configuration, as a
               config.json has it. Raises ExportError where neither says what the model is.
    settings:  whether a YAML file describes such models.
    why_none:  said to a user who gives one where none does, after "is a NAME, ".
    """

    name: str
    marks: tuple[str, ...]
    names: NameMap
    configure: Callable[[Shapes, Settings], dict[str, Any]]
    settings: bool = False
    why_none: str = "whose weights say everything"


def count(shapes: Shapes, name: str, first: int = 0) -> int:
    """How many layers there are: numbers from the first on for which a name with `{}` is there."""
    number = first
    while name.format(number) in shapes:
        number += 1
    return number - first
