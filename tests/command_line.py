"""The type of the `cli` fixture: words of a command line to exit code, stdout and stderr."""

from collections.abc import Callable

Cli = Callable[..., tuple[int, str, str]]
