"""Finds the families that can be exported, and the layouts of weights files, in export/families/; no registration is
needed."""

from pathlib import Path

from masklet.export import families
from masklet.export.checkpoints.layout import Layout
from masklet.export.checkpoints.pretrained import Source
from masklet.export.checkpoints.recognise import FileOptions, recognise
from masklet.export.families import layouts
from masklet.export.family import Family
from masklet.runtime.discovery import find_in
from masklet.runtime.errors import ExportError

_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")  # of files of weights, which no hub id ends with


def find_families() -> tuple[Family, ...]:
    """Every family under export/families/, by name."""
    found: list[Family] = find_in(families, "FAMILY")
    return tuple(sorted(found, key=lambda family: family.name))


def find_layouts() -> tuple[Layout, ...]:
    """Every layout of files under export/families/layouts/, by name."""
    found: list[Layout] = find_in(layouts, "LAYOUT")
    return tuple(sorted(found, key=lambda layout: layout.name))


def open_checkpoint(source: str, options: FileOptions | None = None) -> Source:
    """Open what a user named: a file of weights is read and recognised, a hub id or a folder is returned unchanged.

    Raises ExportError if a file has no known layout, or if options are given that apply to files only.
    """
    path = Path(source)
    if path.is_file():
        return recognise(path, find_layouts(), options or FileOptions())
    if path.suffix in _SUFFIXES and not path.exists():
        raise ExportError(f"{source}: no such file")
    if options not in (None, FileOptions()):
        raise ExportError(
            f"{source}: --family, --config, --weights, --ignore and --tokenizer need a file of weights "
            "(.pt, .pth, .safetensors)"
        )
    return source


def family_of(model_type: str, source: Source) -> Family:
    """The family that exports checkpoints of a model type. Raises ExportError listing the known ones."""
    for family in find_families():
        if model_type in family.model_types:
            return family
    known = ", ".join(f"{family.name} ({', '.join(family.model_types)})" for family in find_families())
    raise ExportError(f"{source}: no family exports model type {model_type!r}; known: {known}")
