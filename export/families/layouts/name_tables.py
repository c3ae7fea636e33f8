"""The tables of names beside this file."""

from importlib.resources import files

from masklet.export.checkpoints.name_map import NameMap


def names(table: str) -> NameMap:
    """A table of names, a TOML file of this folder."""
    return NameMap.read(files(__package__) / f"{table}.toml")
