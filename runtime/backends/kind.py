"""The declaration of a backend, by which it is selected by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

Settings = Mapping[str, Any]  # values of a backend's options, by name; only those that were given


def _always(settings: Settings) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class BackendKind:
    """A backend that can be chosen by `--backend NAME`.

    summary: a short description for help and documentation.
    extra:   the extra of masklet that installs it; None if it comes from elsewhere.
    options: its options besides threads.
    create:  makes it from the number of threads (None: all cores) and the given settings. It imports the engine, and
             raises SessionError, one line, if the engine is not installed or the settings cannot be combined.
    made_of_others: `create` also takes `kinds`, all other backends by name; `backend_kinds` binds them.
    on_cpu:  whether it runs on the CPU with these settings.
    forms:   what `--backend auto` may choose among: settings by the name after the colon in `openvino:bf16`, the first
             of them where none is named; none for a backend that is not to be chosen so.
    placed:  the settings by what stands after the colon in `--place STAGE=NAME:TEXT`, where that names no form.
    """

    name: str
    summary: str
    create: "Callable[..., ChosenBackend]"
    extra: str | None = None
    options: tuple[Option, ...] = ()
    on_cpu: Callable[[Settings], bool] = _always
    made_of_others: bool = False
    forms: Mapping[str, Settings] = field(default_factory=lambda: {"": {}})
    placed: Callable[[str], Settings] | None = None


def in_one_line(ran_on: Mapping[str, str]) -> str:
    """What runs each stage: `all 5 stages: CUDA`, or stage by stage if they differ."""
    if len(set(ran_on.values())) == 1:
        return f"all {len(ran_on)} stages: {next(iter(ran_on.values()))}"
    return "; ".join(f"{stage}: {who}" for stage, who in ran_on.items())
