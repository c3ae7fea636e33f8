"""`masklet run --dry-run`: what it accepts runs, and it opens and writes nothing."""

from pathlib import Path

from command_line import Cli


def test_nothing_is_opened_or_written(cli: Cli, nano_bundle: Path, tmp_path: Path) -> None:
    words = ("--box", "9,9,30,30", "--masks", tmp_path / "m.jsonl", "--state", tmp_path / "s", "--metrics", "9")
    code, out, err = cli("run", nano_bundle, "rtsp://127.0.0.1:1/x", *words, "--dry-run")
    assert (code, out) == (0, "")
    assert err == "masklet: checked: options, prompts, bundle and kinds of sources; no source was opened\n"
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_is_damaged_is_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "x.bundle").mkdir()
    code, _, err = cli("run", tmp_path / "x.bundle", "0", "--box", "9,9,30,30", "--dry-run")
    assert code == 2
    assert "x.bundle" in err
    assert err.count("\n") == 1


def test_phrases_need_a_model_that_takes_them(cli: Cli, nano_bundle: Path) -> None:
    code, _, err = cli("run", nano_bundle, "0", "--text", "a red car", "--dry-run")
    assert code == 2
    assert "--text" in err
