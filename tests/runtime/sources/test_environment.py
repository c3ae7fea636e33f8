"""env:NAME: the variable's source is opened, and nothing says its password."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.errors import SourceError
from masklet.runtime.sources.opening import open_source


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
    monkeypatch.setenv("DOOR", str(path))
    return path


def test_the_variables_source_is_opened(image: Path) -> None:
    (frame,) = open_source("env:DOOR")
    assert frame.hw == (48, 64)


def test_a_run_takes_it_and_writes_what_the_source_itself_gives(
    cli: Cli, image: Path, nano_bundle: Path, tmp_path: Path
) -> None:
    for source, out in (("env:DOOR", "a.jsonl"), (image, "b.jsonl")):
        code, _, err = cli("run", nano_bundle, source, "--box", "9,9,30,30", "--masks", tmp_path / out)
        assert code == 0, err
    assert (tmp_path / "a.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_not_set_is_one_line(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOOR", raising=False)
    if value is not None:
        monkeypatch.setenv("DOOR", value)
    with pytest.raises(SourceError, match=r"^env:DOOR: this environment variable is not set; expected [^\n]+$"):
        open_source("env:DOOR")


def test_its_password_is_in_no_message(monkeypatch: pytest.MonkeyPatch, cli: Cli, nano_bundle: Path) -> None:
    monkeypatch.setenv("DOOR", "rtsp://user:s3cret@127.0.0.1:1/x")
    code, out, err = cli("run", nano_bundle, "env:DOOR", "--box", "9,9,30,30")
    assert code == 2
    assert "rtsp://user:***@127.0.0.1:1/x: " in err
    assert "s3cret" not in out + err
