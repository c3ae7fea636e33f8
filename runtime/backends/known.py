"""Finds the backends: the `BACKEND` of every file in runtime/backends/engines/."""

from dataclasses import replace
from functools import partial

from masklet.runtime.backends import engines
from masklet.runtime.backends.kind import BackendKind
from masklet.runtime.discovery import find_in
from masklet.runtime.errors import SessionError
from masklet.runtime.option import Option


def backend_kinds() -> dict[str, BackendKind]:
    """Every backend by name."""
    found: list[BackendKind] = find_in(engines, "BACKEND")
    single = {kind.name: kind for kind in found if not kind.made_of_others}
    composed = (replace(kind, create=partial(kind.create, kinds=single)) for kind in found if kind.made_of_others)
    return {kind.name: kind for kind in sorted((*single.values(), *composed), key=lambda kind: kind.name)}


def backend_kind(name: str) -> BackendKind:
    """The backend of that name. Raises SessionError listing the known ones."""
    kinds = backend_kinds()
    if name not in kinds:
        raise SessionError(f"--backend {name}: unknown backend; choose one of {', '.join(kinds)}")
    return kinds[name]


def backend_options() -> list[Option]:
    """The options of all backends, without duplicates."""
    return list({option.name: option for kind in backend_kinds().values() for option in kind.options}.values())


def owners(option: str) -> list[str]:
    """The backends that take an option."""
    return [kind.name for kind in backend_kinds().values() if option in {o.name for o in kind.options}]
