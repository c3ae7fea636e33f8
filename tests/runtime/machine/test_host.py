"""A command that is followed while it runs, and is ended with its follower."""

import os
import time
from collections.abc import Callable

import pytest
from masklet.runtime.machine.host import Host


def awaited(said: Callable[[], object], wanted: object) -> None:
    """Waits until a function says what is wanted."""
    for _ in range(500):
        if said() == wanted:
            return
        time.sleep(0.01)
    assert said() == wanted


def test_the_last_whole_line_of_a_running_command() -> None:
    monitor = Host().follow(["sh", "-c", "echo $$; echo first; echo second; printf half; exec sleep 60"])
    assert monitor is not None
    awaited(monitor.latest, "second")
    assert monitor.latest() == "second"
    monitor.close()
    monitor.close()


def test_closing_ends_the_command() -> None:
    monitor = Host().follow(["sh", "-c", "echo $$; exec sleep 60"])
    assert monitor is not None
    awaited(lambda: (monitor.latest() or "").isdecimal(), True)
    pid = int(monitor.latest() or "")
    monitor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_command_that_ended_or_is_missing_says_nothing() -> None:
    monitor = Host().follow(["echo", "a line from before"])
    assert monitor is not None
    awaited(monitor.latest, None)
    monitor.close()
    assert Host().follow(["no-such-command-anywhere"]) is None
