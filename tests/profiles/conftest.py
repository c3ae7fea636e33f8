"""What the tests of `masklet profile` share."""

import pytest
from command_line import Cli
from masklet.profiles.machine.cpu_peaks import Machine


@pytest.fixture
def profile(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run `masklet profile` on a machine whose peaks are given."""
    monkeypatch.setattr("masklet.profiles.pipeline.measure", lambda threads, **_: Machine(100.0, 10.0, threads))
    return lambda *words: cli("profile", *words)
