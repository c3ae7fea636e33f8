"""`masklet run --view` as a process: where it serves, what its logs say, and what survives a restart."""

import json
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import cv2
import pytest
from command_line import Cli, process_words
from two_discs import two_discs

FRAMES, SIDE = 40, 128


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    for frame in two_discs(FRAMES, SIDE, (30, 40, 18), (96, 90, 22)):
        picture = cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(tmp_path / "frames" / f"{frame.index:05d}.png"), picture)
    return tmp_path / "frames"


class Running:
    """A run of a clip that waits at its first frame."""

    def __init__(self, bundle: Path, clip: Path, *words: object) -> None:
        begin = process_words("run", bundle, clip, "--threads", 1, *words)
        self._process = subprocess.Popen(begin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.said = self._process.stdout.readline().strip()
        self.url, _, self.token = self.said.partition("#token=")

    def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + "api/streams/1" + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def step_to(self, frame: int) -> dict[str, Any]:
        """Pass frames until one is shown; returns the stream then."""
        until = time.monotonic() + 30
        while (stream := self.call("GET", ""))["frame"] is None or stream["frame"] < frame:
            assert time.monotonic() < until
            if stream["frame"] is not None:
                self.call("PUT", "/playback", {"step": 1})
            time.sleep(0.02)
        return dict(stream)

    def end(self) -> str:
        """Interrupt it; returns its log."""
        self._process.send_signal(signal.SIGINT)
        _, log = self._process.communicate(timeout=60)
        assert self._process.returncode == 130, log
        return str(log)


def test_prompts_and_names_survive_a_restart(nano_bundle: Path, clip: Path, tmp_path: Path) -> None:
    words = ("--view", 0, "--state", tmp_path / "state", "--state-every", 0, "--masks", tmp_path / "masks.jsonl")
    first = Running(nano_bundle, clip, *words)
    first.step_to(0)
    added = first.call("POST", "/objects", {"points": [[30, 40]], "name": "left disc"})
    assert added == {"frame": 1, "object": 1}
    first.step_to(1)
    corrected = first.call("POST", "/objects/1/prompts", {"points": [[60, 64]], "labels": [0]})
    assert corrected["object"] == 1
    assert corrected["frame"] > 1
    before = first.step_to(corrected["frame"] + 3)
    first.end()

    again = Running(nano_bundle, clip, *words)
    stream = again.call("GET", "")
    assert stream["prompts"] == before["prompts"]
    assert [(one["frame"], one["labels"]) for one in stream["prompts"]] == [(1, [1]), (corrected["frame"], [0])]
    after = again.step_to(before["frame"] + 2)
    assert [(one["id"], one["name"]) for one in after["objects"]] == [(1, "left disc")]
    again.end()
    lines = [json.loads(line) for line in (tmp_path / "masks.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(len(lines)))
    assert all(line["objects"] for line in lines[1:])


def test_a_host_gets_a_token_that_no_log_has(nano_bundle: Path, clip: Path) -> None:
    run = Running(nano_bundle, clip, "--view", "0.0.0.0:0", "--log-json")
    assert len(run.token) >= 24
    run.url = f"http://127.0.0.1:{run.url.rstrip('/').rsplit(':', 1)[1]}/"
    assert run.step_to(0)["paused"], "nothing is tracked yet, so it waits"
    log = run.end()
    assert run.token not in log
    events = [json.loads(line) for line in log.splitlines()]
    assert any(one["event"] == "view" and one["detail"].startswith("served at http://") for one in events)


def test_bad_addresses_are_one_line(nano_bundle: Path, clip: Path, cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, said = cli("run", nano_bundle, clip, "--view", port)
    assert (code, said) == (2, f"masklet: error: --view 127.0.0.1:{port}: the port is in use; give another one\n")
    code, _, said = cli("run", nano_bundle, clip, "--view", "somewhere")
    assert code == 2
    assert said.startswith("masklet: error: --view somewhere: expected [HOST:]PORT")
