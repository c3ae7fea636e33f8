"""`masklet run` on feeds, as an operator meets it: several sources, restarts, figures, and exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import Cli, process_words
from masklet.runtime.cli.per_stream import path_of, prompts_of
from masklet.runtime.errors import PromptError, SinkError
from masklet.runtime.sources.opening import open_source
from masklet.runtime.sources.source import Source

FRAMES = 40
CLICK = ("--point", "30,30", "--threads", "1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FRAMES images of a moving square, 96 x 64."""
    folder = tmp_path_factory.mktemp("clip") / "frames"
    folder.mkdir()
    for t in range(FRAMES):
        image = np.full((64, 96, 3), 90, np.uint8)
        image[20:40, 20 + t : 40 + t] = (40, 60, 220)
        cv2.imwrite(str(folder / f"{t:03d}.png"), image)
    return folder


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_several_sources_with_prompts_and_outputs_of_their_own(
    cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    masks = tmp_path / "m-{stream}.jsonl"
    prompts = (*CLICK, "--box", "2/7@3:10,10,50,50")
    code, _, err = cli(
        "run", nano_bundle, folder, folder, tmp_path / "none.mp4", *prompts, "--masks", masks, "--end", 8
    )
    assert code == 3, "a source that is missing does not stop the others, but is told"
    assert "failed (stream 3)" in err
    assert "stream 1: 8 frames, 1 objects" in err
    first, second = (lines(tmp_path / f"m-{n}.jsonl") for n in (1, 2))
    assert [[o["id"] for o in line["objects"]] for line in first] == [[1]] * 8
    assert [[o["id"] for o in line["objects"]] for line in second] == [[1]] * 3 + [[1, 7]] * 5
    alone = tmp_path / "alone.jsonl"
    assert cli("run", nano_bundle, folder, *CLICK, "--masks", alone, "--end", 8)[0] == 0
    assert alone.read_text() == (tmp_path / "m-1.jsonl").read_text()


def test_raw_frames_from_standard_input(nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "m.jsonl"
    words = ["run", nano_bundle, "-", "--size", "96x64", "--pixel-format", "bgr24", "--rate", 10, *CLICK]
    raw = b"".join(np.asarray(cv2.imread(str(path))).tobytes() for path in sorted(folder.iterdir())[:5])
    run = subprocess.run(
        process_words(*words, "--masks", masks, "--log-json"), input=raw + b"part", capture_output=True
    )
    assert run.returncode == 0, run.stderr
    assert [line["time_s"] for line in lines(masks)] == [0, 0.1, 0.2, 0.3, 0.4]
    ended = json.loads(run.stderr.splitlines()[-1])
    assert ended["event"] == "ended"
    assert (ended["captured"], ended["processed"], ended["dropped"], ended["corrupt"]) == (6, 5, 0, 1)


def test_a_killed_run_goes_on_as_if_nothing_had_been(cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    whole, broken, state = tmp_path / "whole.jsonl", tmp_path / "broken.jsonl", tmp_path / "state"
    prompts = (*CLICK, "--box", "2@4:10,10,50,50")
    assert cli("run", nano_bundle, folder, *prompts, "--masks", whole)[0] == 0
    words = ("run", nano_bundle, folder, *prompts, "--masks", broken, "--state", state, "--state-every", 0.1)
    run = subprocess.Popen(process_words(*words), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (state.exists() and broken.read_text().count("\n") >= 10):
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    cut_off = broken.read_text()
    assert 10 <= cut_off.count("\n") < FRAMES
    broken.write_text(cut_off + '{"frame": 99, "ti')  # a line that was being written
    code, _, err = cli(*words)
    assert code == 0, err
    assert "continues after frame" in err
    assert broken.read_text() == whole.read_text(), "the same ids, scores and masks, each frame once"
    overlay = tmp_path / "o.mp4"
    code, _, err = cli(*words, "--overlay", overlay)
    assert code == 0, "a service that restarts on failure would otherwise never end"
    assert "was run to its end, nothing is left to do" in err
    assert broken.read_text() == whole.read_text()
    assert not overlay.exists()


def test_of_two_files_one_that_is_finished_is_left_alone(
    cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    words = ("--state", tmp_path / "s-{stream}", "--masks", tmp_path / "m-{stream}.jsonl", "--end", 4)
    assert cli("run", nano_bundle, folder, folder, *CLICK, *words)[0] == 0
    before = (tmp_path / "m-1.jsonl").read_bytes()
    (tmp_path / "s-2").unlink()
    (tmp_path / "m-2.jsonl").unlink()
    code, _, err = cli("run", nano_bundle, folder, folder, *CLICK, *words)
    assert code == 0
    assert "finished (stream 1)" in err
    assert (tmp_path / "m-1.jsonl").read_bytes() == (tmp_path / "m-2.jsonl").read_bytes() == before


def test_every_source_that_was_opened_is_closed(
    cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is resumed is opened twice: once to see how many frames are left."""
    opened: list[Source] = []
    closed: list[Source] = []

    def watched(*words: Any, **options: Any) -> Source:
        source = open_source(*words, **options)
        close = source.close

        def noted() -> None:
            closed.append(source)
            close()

        monkeypatch.setattr(source, "close", noted)
        opened.append(source)
        return source

    monkeypatch.setattr("masklet.runtime.cli.open_stream.open_source", watched)
    words = ("run", nano_bundle, folder, *CLICK, "--state", tmp_path / "s")
    for end, count in ((3, 1), (5, 3), (5, 4), (99, 6)):
        assert cli(*words, "--end", end)[0] == 0
        assert len(opened) == count
        assert set(map(id, opened)) == set(map(id, closed))


def test_a_damaged_state_is_said_and_another_bundles_refused(
    cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    state.write_bytes(b"rubbish")
    words = ("run", nano_bundle, folder, *CLICK, "--end", 3, "--state", state)
    code, _, err = cli(*words)
    assert code == 0
    assert "the state is damaged; renamed to" in err
    assert (tmp_path / "state.damaged-1").read_bytes() == b"rubbish"
    code, _, err = cli("run", nano_bundle, folder / "000.png", *CLICK, "--state", state)
    assert code == 2
    assert "give that source, or another --state" in err


def test_figures_are_served_on_this_machine_alone(
    nano_bundle: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("prometheus_client")
    words = process_words(
        "run", nano_bundle, "-", "--size", "96x64", *CLICK, "--metrics", "0", "--log-json", "--silence", 2
    )
    run = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdin is not None
    assert run.stderr is not None
    served = json.loads(run.stderr.readline())["detail"]
    url = served.removeprefix("served at ")
    assert url.startswith("http://127.0.0.1:")
    run.stdin.write(bytes(3 * 96 * 64 * 3))
    run.stdin.flush()
    figures = ""
    for _ in range(600):
        figures = urllib.request.urlopen(url).read().decode()
        if 'outcome="processed",source="standard input",stream="1"} 3.0' in figures:
            break
        time.sleep(0.02)
    for line in (
        'masklet_frames_total{outcome="captured",source="standard input",stream="1"} 3.0',
        'masklet_objects{source="standard input",stream="1"} 1.0',
        'masklet_visible_objects{source="standard input",stream="1"}',
        'masklet_reconnects_total{source="standard input",stream="1"} 0.0',
        'masklet_latency_seconds_count{stream="1"} 3.0',
        'masklet_up{source="standard input",stream="1"} 1.0',
        "process_resident_memory_bytes",
    ):
        assert line in figures
    root = url.removesuffix("/metrics")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{root}/other")
    with pytest.raises(urllib.error.HTTPError, match="503") as silent:  # no frame has come for more than --silence
        healthy_until_it_is_not(f"{root}/healthz")
    assert silent.value.read().decode().startswith("1 standard input: no frame for ")
    run.send_signal(signal.SIGTERM)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130, err
    ended = [json.loads(line) for line in err.splitlines()][-2]
    assert (ended["captured"], ended["processed"]) == (3, 3)


def healthy_until_it_is_not(url: str) -> None:
    """Ask until the answer is an error, which urllib raises."""
    for _ in range(600):
        assert urllib.request.urlopen(url).read() == b"ok\n"
        time.sleep(0.02)


def test_an_endless_silence_is_said_and_given_up(cli: Cli, nano_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reading))
    words = ("run", nano_bundle, "-", "--size", "96x64", *CLICK, "--silence", 0.3, "--give-up", 0.8)
    code, _, err = cli(*words)
    os.close(writing)
    assert code == 2
    assert "silent: standard input: no frame has come for" in err
    assert "no frame for 1 s; gave up" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("a.mp4", "b.mp4", *CLICK, "--masks", "m.jsonl"), "2 sources cannot share it; put {stream} where"),
        (("a.mp4", "b.mp4", *CLICK, "--state", "s"), "2 sources cannot share it"),
        (("a.mp4", "b.mp4", "--point", "1/:5,5"), "nothing to track in source 2"),
        (("a.mp4", "--point", "2/:5,5"), "there is no stream 2; sources are numbered 1 to 1"),
        (("-", "-", *CLICK), "standard input can be one source"),
        (("-", *CLICK, "--size", "big"), "--size big: expected WIDTHxHEIGHT"),
        (("a.mp4", *CLICK, "--metrics", "there"), "--metrics there: expected [HOST:]PORT"),
        (("a.mp4", "b.mp4", *CLICK), "b.mp4: no such file"),
    ],
)
def test_what_does_not_go_together(cli: Cli, nano_bundle: Path, words: tuple[str, ...], message: str) -> None:
    code, _, err = cli("run", nano_bundle, *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_prompts_and_paths_find_their_stream() -> None:
    texts = ["5,5", "2/:6,6", "1/3@4:7,7", "2/@9:1,2,3,4"]
    assert prompts_of(texts, 1, 2) == ["5,5", "3@4:7,7"]
    assert prompts_of(texts, 2, 2) == ["5,5", ":6,6", "@9:1,2,3,4"]
    assert prompts_of(["2/mask.png"], 1, 1) == ["2/mask.png"], "a path is no address"
    with pytest.raises(PromptError):
        prompts_of(["0/:1,1"], 1, 1)
    assert path_of(Path("o-{stream}.mp4"), 3, 4) == Path("o-3.mp4")
    assert path_of(Path("o.mp4"), 1, 1) == Path("o.mp4")
    with pytest.raises(SinkError):
        path_of(Path("o.mp4"), 1, 2)


def test_a_file_can_be_run_like_a_camera(cli: Cli, nano_bundle: Path, folder: Path, tmp_path: Path) -> None:
    masks = tmp_path / "m.jsonl"
    code, _, err = cli("run", nano_bundle, folder, *CLICK, "--newest", "--masks", masks)
    assert code == 0, err
    found = lines(masks)
    assert found[-1]["frame"] == FRAMES - 1
    assert found[-1]["objects"][0]["id"] == 1, "a prompt of a dropped frame is given on the next"
    assert len(found) == FRAMES or f"{FRAMES - len(found)} dropped" in err


def test_threads_are_gone_after_a_run(cli: Cli, nano_bundle: Path, folder: Path) -> None:
    before = threading.active_count()
    assert cli("run", nano_bundle, folder, *CLICK, "--end", 2)[0] == 0
    for _ in range(100):  # a thread that has been told to end may take a moment on a busy machine
        if threading.active_count() <= before:
            break
        time.sleep(0.02)
    assert threading.active_count() <= before, threading.enumerate()
