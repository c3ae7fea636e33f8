"""`--help` of every command speaks of numbers and paths, not of Python's types."""

import re

import pytest
from command_line import Cli
from masklet.runtime.cli.main import ORDER


@pytest.mark.parametrize("verb", ORDER)
def test_no_type_of_python_is_shown(cli: Cli, verb: str) -> None:
    code, out, _ = cli(verb, "--help")
    assert code == 0
    assert not re.search(r"<(int|float|str|path|list|bool)[ >\[]", out)


def test_numbers_and_arguments_of_run(cli: Cli) -> None:
    _, out, _ = cli("run", "--help")
    assert re.search(r"--silence N +Warn after N seconds", out)
    assert re.search(r"  SOURCE\.\.\. +Videos", out)
    assert re.search(r"--reader <auto\|gstreamer\|opencv\|pyav>", out)
