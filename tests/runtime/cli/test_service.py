"""`masklet service`: units that systemd itself accepts, and no password where others can read it."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from command_line import Cli
from masklet.runtime.cli import service as services
from masklet.runtime.cli.systemd_unit import SystemdUnit, quoted
from masklet.runtime.errors import MaskletError

CAMERA = "rtsp://user:s3cret$x@10.0.0.7/live"
COMMAND = ("run", "tiny.bundle", CAMERA, "--box", "1:9,9,30,30", "--masks", "out $HOME/100 %.jsonl")


@pytest.fixture
def here(tmp_path: Path, nano_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a bundle in it."""
    (tmp_path / "tiny.bundle").symlink_to(nano_bundle)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_unit_is_one_that_systemd_accepts(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    program = tmp_path / "masklet"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = SystemdUnit("door", COMMAND, "root", tmp_path, "2G", program)
    file = tmp_path / "masklet-door.service"
    file.write_text(unit.text())
    said = subprocess.run(["systemd-analyze", "verify", file], capture_output=True, text=True)
    own = [line for line in said.stderr.splitlines() if "masklet-door" in line]
    assert not own, own


def test_a_dry_run_prints_the_unit_without_the_password(cli: Cli, here: Path) -> None:
    code, out, err = cli("service", "install", "door", "--dry-run", "--memory-max", "2G", "--", *COMMAND)
    assert code == 0, err
    assert "s3cret" not in out + err
    assert f"WorkingDirectory={here}" in out
    assert "/masklet run tiny.bundle env:MASKLET_SECRET_1 --box 1:9,9,30,30 --masks" in out
    assert '"out $$HOME/100 %%.jsonl"' in out
    assert "MemoryMax=2G" in out
    assert "EnvironmentFile=/etc/masklet/door.env" in out
    assert 'MASKLET_SECRET_1="rtsp://user:***@10.0.0.7/live"' in out


def test_a_source_in_the_environment_goes_into_the_file_of_the_service(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMERA", CAMERA)
    code, out, err = cli(
        "service", "install", "door", "--dry-run", "--", "run", "tiny.bundle", "env:CAMERA", *COMMAND[3:]
    )
    assert code == 0, err
    assert "/masklet run tiny.bundle env:CAMERA --box" in out
    assert 'CAMERA="rtsp://user:***@10.0.0.7/live"' in out
    assert "s3cret" not in out + err


def test_a_password_that_is_not_in_a_source_stays_out_of_the_unit() -> None:
    unit = SystemdUnit("door", (*COMMAND, "--view", "rtsp://a:hush@b"), "masklet", Path("/"), sources=(CAMERA,))
    assert "env:MASKLET_SECRET_1 --box" in unit.text()
    assert unit.text().count('"${MASKLET_SECRET_2}"') == 1
    assert "hush" not in unit.text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--boxx", "1:9,9,30,30"), "service door: run: No such option: --boxx"),
        (("--silence", "soon"), "service door: run: Invalid value for '--silence'"),
        (("--box", "9,9"), "--box 9,9: expected [ID][@FRAME]:X0,Y0,X1,Y1"),
        (("--box", "9,9,30,30", "--topic", "/x"), "--topic is for a bag"),
        (("--mask", "1:none.png"), "none.png"),
        (("--box", "9,9,30,30", "--variant", "9"), "variant"),
        ((), "nothing to track"),
        (("--box", "9,9,30,30", "other.mp4"), "other.mp4: no such file or folder"),
        (("--box", "9,9,30,30", "env:NONE"), "env:NONE: this environment variable is not set"),
    ],
)
def test_a_command_that_masklet_refuses_is_not_installed(
    cli: Cli, here: Path, machine: tuple[Path, list[str]], words: tuple[str, ...], message: str
) -> None:
    code, out, err = cli("service", "install", "door", "--", "run", "tiny.bundle", CAMERA, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert "s3cret" not in err
    assert err.count("\n") == 1
    assert not (machine[0] / "system").exists()
    assert not machine[1]


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain/path.mp4", "plain/path.mp4"),
        ("1@30:10,20", "1@30:10,20"),
        ("two words", '"two words"'),
        ("", '""'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("50%", "50%%"),
        ("$HOME", "$$HOME"),
        ("a;b", '"a;b"'),
        ("gst:a ! b", '"gst:a ! b"'),
    ],
)
def test_words_are_quoted_as_systemd_reads_them(word: str, written: str) -> None:
    assert quoted(word) == written


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, list[str]]:
    """A root folder instead of /, and what systemctl was asked to do."""
    asked: list[str] = []
    monkeypatch.setattr(services, "unit_path", lambda name: tmp_path / f"system/masklet-{name}.service")
    monkeypatch.setattr(services, "secrets_path", lambda name: tmp_path / f"masklet/{name}.env")
    monkeypatch.setattr(services, "systemctl", lambda *words: asked.append(" ".join(words)))
    monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(services, "RUNNING", tmp_path)
    return tmp_path, asked


def test_install_and_remove(machine: tuple[Path, list[str]], tmp_path: Path) -> None:
    root, asked = machine
    services.install(SystemdUnit("door", COMMAND, "masklet", tmp_path))
    unit, secrets = root / "system/masklet-door.service", root / "masklet/door.env"
    assert "s3cret" not in unit.read_text()
    assert secrets.read_text() == f'MASKLET_SECRET_1="{CAMERA}"\n'
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert asked == ["daemon-reload", "enable --now masklet-door.service"]
    services.install(SystemdUnit("door", ("run", "b", "0"), "masklet", tmp_path))
    assert not secrets.exists(), "the new command has no password"
    services.remove("door")
    assert not unit.exists()
    with pytest.raises(MaskletError, match="service door: is not installed; installed: none"):
        services.remove("door")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("install", "../x", "--", "run", "b", "0"), "expected a name of letters"),
        (("install", "door"), "expected the command after --, such as"),
        (("install", "door", "--", "export", "x"), "expected the command after --"),
        (("install", "door", "--", "run", "a\nb"), "has a line break"),
        (("install", "door", "--user", "a\nExecStartPre=/bin/sh", "--", "run", "b"), "expected the name of a user"),
        (("install", "door", "--user", "-x", "--", "run", "b"), "expected the name of a user"),
        (("install", "door", "--memory-max", "lots", "--", "run", "b"), "such as 2G, got 'lots'"),
        (("install", "door", "--memory-max", "2G\nX=y", "--", "run", "b"), "such as 2G, got"),
        (("status", "-"), "expected a name of letters"),
    ],
)
def test_bad_input_is_one_line(cli: Cli, words: tuple[str, ...], message: str) -> None:
    code, _, err = cli("service", *words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1


def test_without_systemd_it_says_so(machine: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(MaskletError, match="there is no systemd here; --dry-run prints the unit"):
        services.remove("door")


def test_where_systemd_is_installed_but_does_not_run_nothing_is_written(
    machine: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, asked = machine
    monkeypatch.setattr(services, "RUNNING", root / "nothing")
    with pytest.raises(MaskletError, match="there is no systemd here"):
        services.install(SystemdUnit("door", COMMAND, "masklet", root))
    assert not list(root.iterdir())
    assert not asked
