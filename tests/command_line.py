"""The command line under test: the type of the `cli` fixture, and the words of a process of its own."""

import sys
from collections.abc import Callable

Cli = Callable[..., tuple[int, str, str]]
"""Words of a command line to exit code, stdout and stderr."""

_ANSWERS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"


def process_words(*words: object) -> list[str]:
    """What starts `masklet` with these words, answering to Ctrl-C even where the tests run in the background."""
    return [
        sys.executable,
        "-c",
        f"{_ANSWERS_CTRL_C}; from masklet.runtime.cli.main import main; main()",
        *map(str, words),
    ]
