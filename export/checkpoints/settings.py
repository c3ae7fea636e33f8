"""The YAML file that a model was built or trained with in Meta's repositories: what shapes of weights do not say."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from masklet.runtime.errors import ExportError

_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Settings:
    """What a YAML file says of a model, by dotted names; without a file everything has its default.

    stem: the name of the file of weights where no YAML file is given: for what is published in it alone.
    """

    path: Path | None = None
    model: dict[str, Any] = field(default_factory=dict)
    whole: dict[str, Any] = field(default_factory=dict)
    stem: str = ""

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Read a file. Raises ExportError where it is none, or describes no model."""
        try:
            loaded = yaml.safe_load(path.read_text())
        except OSError as error:
            raise ExportError(f"{path}: cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ExportError(f"{path}: is not YAML: {str(error).splitlines()[0]}") from None
        whole = loaded if isinstance(loaded, dict) else {}
        for holder in (whole, whole.get("trainer")):
            if isinstance(holder, dict) and isinstance(holder.get("model"), dict):
                return cls(path, holder["model"], whole)
        raise ExportError(f"{path}: describes no model; wanted 'model:' as in sam2/configs, or below 'trainer:'")

    def get(self, name: str, default: Any) -> Any:
        """A value by its dotted name, or the default, which is that of the published files, where it is left out.

        Raises ExportError where it is of another kind than the default.
        """
        value = _find(self.model, name)
        if isinstance(value, str) and (reference := _REFERENCE.fullmatch(value)):
            value = _find(self.whole, reference[1])
        if value is None:
            return default
        if isinstance(default, float) and isinstance(value, int):
            return float(value)
        if type(value) is not type(default):
            raise ExportError(f"{self.path}: model.{name} is {value!r}; wanted a value like {default!r}")
        return value

    def agree(self, name: str, found: Any, default: Any) -> None:
        """Raise ExportError where the file says otherwise than the weights. found: what their shapes say."""
        if self.path is not None and (said := self.get(name, default)) != found:
            raise ExportError(
                f"{self.path}: says {said} for model.{name}, but the weights have {found}; "
                "give the YAML that they were trained with"
            )

    def require(self, name: str, wanted: Any) -> None:
        """Raise ExportError where the file asks for what the exported model does not do."""
        if (said := self.get(name, wanted)) != wanted:
            told = f"says {_written(said)} for model.{name}; only {_written(wanted)} is exported"
            raise ExportError(f"{self.path}: {told}")


def _written(value: Any) -> str:
    """A value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _find(table: Any, name: str) -> Any:
    for key in name.split("."):
        if not isinstance(table, dict):
            return None
        table = table.get(key)
    return table
