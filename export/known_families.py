"""The families that can be exported: found in export/families/, nothing is to be registered."""

from masklet.export import families
from masklet.export.family import Family
from masklet.runtime.discovery import find_in
from masklet.runtime.errors import ExportError


def find_families() -> tuple[Family, ...]:
    """Every family under export/families/, by name."""
    found: list[Family] = find_in(families, "FAMILY")
    return tuple(sorted(found, key=lambda family: family.name))


def family_of(model_type: str, source: str) -> Family:
    """The family that exports checkpoints of a model type; ExportError naming what exists."""
    for family in find_families():
        if model_type in family.model_types:
            return family
    known = ", ".join(f"{family.name} ({', '.join(family.model_types)})" for family in find_families())
    raise ExportError(f"{source}: no family exports model type {model_type!r}; there are {known}")
