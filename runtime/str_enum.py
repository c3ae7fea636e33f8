"""Enumerations whose members are strings: `enum.StrEnum`, which Python 3.10 does not have."""

from enum import Enum


class StrEnum(str, Enum):
    """Members are strings, and print as their value."""

    __str__ = str.__str__
