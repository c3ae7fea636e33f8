"""What a backend declares of itself, so that it can be chosen by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from masklet.runtime.option import Option

if TYPE_CHECKING:
    from masklet.runtime.backends.session import ChosenBackend

Settings = Mapping[str, Any]  # the values of a backend's options, by name; what was not given is left out


def _always(settings: Settings) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class BackendKind:
    """A backend that can be chosen by `--backend NAME`.

    summary: what it is, in a few words, for help and documentation.
    extra:   the extra of masklet that installs it, None where it comes from elsewhere.
    options: what can be asked of it besides threads.
    create:  makes it from the number of threads (None: all cores) and the settings that were given. It imports the
             engine, and raises SessionError, one line, where that is not installed or the settings do not go together.
    made_of_others: `create` also takes `kinds`, all other backends by name; `backend_kinds` binds them.
    on_cpu:  whether it runs on the CPU with these settings.
    forms:   what `--backend auto` may choose among: settings by the name after the colon in `openvino:bf16`, the first
             of them where none is named; none for a backend that is not to be chosen so.
    """

    name: str
    summary: str
    create: "Callable[..., ChosenBackend]"
    extra: str | None = None
    options: tuple[Option, ...] = ()
    on_cpu: Callable[[Settings], bool] = _always
    made_of_others: bool = False
    forms: Mapping[str, Settings] = field(default_factory=lambda: {"": {}})


def in_one_line(ran_on: Mapping[str, str]) -> str:
    """Who runs which stage: `all 5 stages: CUDA`, or stage by stage where they differ."""
    if len(set(ran_on.values())) == 1:
        return f"all {len(ran_on)} stages: {next(iter(ran_on.values()))}"
    return "; ".join(f"{stage}: {who}" for stage, who in ran_on.items())
