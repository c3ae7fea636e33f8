"""The control API and the socket of a running view: what they do, what they refuse, and what they withstand."""

import io
import json
import random
import socket
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from masklet.runtime.backends.stage_times import StageTimes
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.errors import MaskletError
from masklet.runtime.pixels.coco_rle import CocoRle
from masklet.runtime.prompts.prompt_file import read_prompt_file
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.results import Frame
from masklet.runtime.tracking.video_tracker import VideoTracker
from masklet.runtime.view.address import Address
from masklet.runtime.view.opening import open_view
from PIL import Image
from viewed_run import RATE, SIDE, Run, viewed_run
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

OBJECTS, CLICK = "/api/streams/1/objects", {"points": [[30, 40]]}


@pytest.fixture(scope="module")
def run(nano_bundle: Path) -> Iterator[Run]:
    with viewed_run(nano_bundle) as running:
        yield running


@pytest.fixture
def empty(run: Run) -> Run:
    """The run without objects."""
    for one in run.call("GET", OBJECTS)[1]:
        run.call("DELETE", f"{OBJECTS}/{one['id']}")
    run.wait_for(lambda: not run.call("GET", OBJECTS)[1])
    return run


def viewer(run: Run, *, token: str | None = None, origin: str | None = None) -> ClientConnection:
    protocols: list[Any] = ["masklet"] if token is None else ["masklet", f"token.{token}"]
    url = run.url.replace("http", "ws") + "/api/socket"
    return connect(url, subprotocols=protocols, origin=origin, close_timeout=0.2)  # type: ignore[arg-type]


def frame_of(message: bytes) -> dict[str, Any]:
    length = int.from_bytes(message[:4], "little")
    return {**json.loads(message[4 : 4 + length]), "jpeg": message[4 + length :]}


def next_frame(connection: ClientConnection) -> dict[str, Any]:
    connection.send('{"type": "next"}')
    while isinstance(message := connection.recv(timeout=20), str):
        pass
    return frame_of(message)


def test_an_object_is_added_corrected_renamed_and_removed(empty: Run) -> None:
    status, added = empty.call("POST", OBJECTS, {**CLICK, "name": " left \n\x00disc "})
    assert status == 200
    number = added["object"]
    status, corrected = empty.call("POST", f"{OBJECTS}/{number}/prompts", {"points": [[60, 60]], "labels": [0]})
    assert (status, corrected["object"]) == (200, number)
    assert corrected["frame"] >= added["frame"]
    empty.wait_for(lambda: empty.call("GET", OBJECTS)[1])
    assert empty.call("GET", OBJECTS)[1][0]["name"] == "left disc"
    assert empty.call("PATCH", f"{OBJECTS}/{number}", {"name": "<b>"})[0] == 204
    assert empty.call("GET", OBJECTS)[1][0]["name"] == "<b>"
    stream = empty.call("GET", "/api/streams/1")[1]
    assert [one["frame"] for one in stream["prompts"]] == [added["frame"], corrected["frame"]]
    status, removed = empty.call("DELETE", f"{OBJECTS}/{number}")
    assert status == 200
    empty.wait_for(lambda: removed["frame"] in empty.results[0].by_frame)
    assert number not in empty.results[0].by_frame[removed["frame"]].object_ids
    assert empty.call("POST", "/api/streams/1/undo")[1]["object"] == number
    empty.wait_for(lambda: [one["id"] for one in empty.call("GET", OBJECTS)[1]] == [number])


def test_the_masks_are_those_of_a_tracker_that_was_given_the_same_prompts(empty: Run, nano_bundle: Path) -> None:
    """The frame of which the API says that a click took effect on it is the frame that it was given on."""
    done = empty.call("POST", OBJECTS, CLICK)[1]
    frame = done["frame"]
    empty.wait_for(lambda: frame + 2 in empty.results[0].by_frame)
    plain = VideoTracker(Bundle.load(nano_bundle))
    for index in (frame, frame + 1, frame + 2):
        if index not in empty.results[0].by_frame:
            continue  # dropped: the machine was busy
        prompts = {done["object"]: Points.click(30, 40)} if index == frame else {}
        wanted = plain.step(Frame(index, index / RATE, empty.cameras[0].image(index)), prompts)
        assert np.array_equal(wanted.masks, empty.results[0].by_frame[index].masks)


def test_a_viewer_gets_the_newest_frame_each_time_it_asks(empty: Run) -> None:
    done = empty.call("POST", OBJECTS, {"box": [10, 20, 50, 60]})[1]
    with viewer(empty) as connection:
        connection.send('{"type": "show", "streams": {"1": 64}}')
        shown = [next_frame(connection) for _ in range(5)]
    counts = [one["count"] for one in shown]
    assert counts == sorted(set(counts))
    assert all(one["jpeg"][:2] == b"\xff\xd8" for one in shown)
    last = shown[-1]
    assert last["frame"] >= done["frame"]
    height, width = last["size"]
    assert (height, width) == (SIDE, SIDE)
    result = empty.results[0].by_frame[last["frame"]]
    segmentation = last["objects"][0]["segmentation"]
    assert np.array_equal(CocoRle(tuple(segmentation["size"]), segmentation["counts"]).mask(), result.masks[0])


def test_a_viewer_that_asks_for_no_pictures_gets_results_alone(empty: Run) -> None:
    with viewer(empty) as connection:
        connection.send('{"type": "show", "streams": {"1": 0}}')
        assert next_frame(connection)["jpeg"] == b""


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", OBJECTS, {"points": [[500, 10]]}, 422, "outside the frame"),
        ("POST", OBJECTS, {"box": [9, 9, 3, 3]}, 422, "no area"),
        ("POST", OBJECTS, {}, 422, "nothing is prompted"),
        (
            "POST",
            OBJECTS,
            {"mask": {"size": [3, 3], "counts": "9"}},
            422,
            "3x3 pixels, but the frame is 128x128",
        ),
        ("POST", OBJECTS, {"mask": {"size": [SIDE, SIDE], "counts": "9"}}, 422, "do not fill"),
        ("POST", OBJECTS, {"mask": 3}, 400, "not understood"),
        ("POST", OBJECTS, {**CLICK, "name": "x" * 81}, 400, "length <= 80"),
        ("POST", f"{OBJECTS}/999/prompts", CLICK, 404, "object 999 of stream 1 is not tracked"),
        ("DELETE", f"{OBJECTS}/999", None, 404, "object 999"),
        ("GET", "/api/streams/7", None, 404, "no stream 7"),
        ("GET", "/api/streams/x", None, 404, "no number"),
        ("PUT", "/api/streams/1/phrases", {"phrases": ["car"]}, 422, "does not look for phrases"),
        ("PUT", "/api/streams/1/playback", {"paused": True}, 422, "no file"),
        ("PUT", OBJECTS, CLICK, 405, "Method Not Allowed"),
        ("GET", "/api/nothing", None, 404, "Not Found"),
        ("GET", "/js/../view.py", None, 404, "Not Found"),
        ("GET", "/%2e%2e/view.py", None, 404, "Not Found"),
        ("POST", OBJECTS, b"x" * (9 << 20), 413, "larger than 8 MB"),
    ],
)
def test_what_does_not_fit_is_one_line_of_json(
    run: Run, method: str, path: str, body: Any, status: int, says: str
) -> None:
    found, answer = run.call(method, path, body)
    assert (found, says in answer["error"]) == (status, True), answer


def test_the_page_needs_nothing_from_elsewhere_and_lets_nothing_in(run: Run) -> None:
    import urllib.request

    with urllib.request.urlopen(run.url + "/") as answer:
        page, policy = answer.read().decode(), answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}])
def test_other_pages_are_refused(run: Run, headers: dict[str, str]) -> None:
    before = run.call("GET", "/api/streams/1")[1]["prompts"]
    assert run.call("POST", OBJECTS, CLICK, **headers)[0] == 403
    assert run.call("GET", "/api/streams/1")[1]["prompts"] == before


def test_a_socket_of_another_page_is_refused(run: Run) -> None:
    with pytest.raises(InvalidStatus) as refused:
        viewer(run, origin="http://evil.example")
    assert refused.value.response.status_code == 403


def test_with_a_host_a_token_is_needed(nano_bundle: Path) -> None:
    with viewed_run(nano_bundle, token="t" * 24) as run:
        assert run.call("GET", "/")[0] == 200, "the page itself holds no secret"
        assert "#token=" not in run.view.url
        assert run.view.private_url.endswith("#token=" + "t" * 24)
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic " + "t" * 24}):
            status, answer = run.call("GET", "/api/streams", None, **headers)
            assert (status, "token" in answer["error"]) == (401, True)
        assert run.call("GET", "/api/streams", None, Authorization="Bearer " + "t" * 24)[0] == 200
        for token in (None, "wrong"):
            with pytest.raises(InvalidStatus) as refused:
                viewer(run, token=token)
            assert refused.value.response.status_code == 401
        with viewer(run, token="t" * 24) as connection:
            assert json.loads(connection.recv(timeout=20))["type"] == "state"


@pytest.mark.parametrize(
    ("text", "says"),
    [("x", "expected"), ("1:2:x", "expected"), ("70000", "expected"), ("nowhere.invalid:0", "cannot listen there")],
)
def test_an_address_that_is_none_is_one_line(text: str, says: str) -> None:
    with pytest.raises(MaskletError, match=says):
        open_view("--view", text, StageTimes())


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MaskletError, match=f"--view 127.0.0.1:{port}: the port is in use"):
            open_view("--view", str(port), StageTimes())


def test_tokens_belong_to_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = ("8000", "127.0.0.1:1", "localhost:1", "[::1]:1")
    assert all(Address.parse("--view", text).token is None for text in alone)
    first, second = (Address.parse("--view", "0.0.0.0:8000").token for _ in range(2))
    assert first
    assert second
    assert first != second
    monkeypatch.setenv("MASKLET_VIEW_TOKEN", "of-our-own-choice-123")
    assert Address.parse("--view", "10.0.0.1:8000").token == "of-our-own-choice-123"
    monkeypatch.setenv("MASKLET_VIEW_TOKEN", "short")
    with pytest.raises(MaskletError, match="MASKLET_VIEW_TOKEN"):
        Address.parse("--view", "10.0.0.1:8000")


def malformed(rng: random.Random) -> Any:
    """Something that is nearly a request."""
    kinds: list[Any] = [
        lambda: rng.randbytes(rng.randrange(200)),
        lambda: b"[" * rng.randrange(1, 50_000),
        lambda: json.dumps({"points": [[rng.choice([1e400, "x", None, -5, [1], {}])] * rng.randrange(4)]}).encode(),
        lambda: json.dumps({"points": [[1, 2]], rng.choice(["Points", "", "label", "constructor"]): 1}).encode(),
        lambda: json.dumps({"box": [rng.choice([-1e300, 0, 1e300, 7]) for _ in range(rng.randrange(7))]}).encode(),
        lambda: json.dumps({"mask": {"size": [SIDE, SIDE], "counts": rng.randbytes(30).decode("latin-1")}}).encode(),
        lambda: json.dumps({"points": [[1, 2]], "labels": [rng.choice([2, -1, "1", 1.5])]}).encode(),
        lambda: json.dumps({"type": rng.choice(["show", 3]), "streams": {"1": rng.choice(["x", -4, 1e9])}}).encode(),
    ]
    return rng.choice(kinds)()


def test_a_thousand_malformed_requests_and_messages_change_nothing(
    empty: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(0)
    paths = [("POST", OBJECTS), ("POST", f"{OBJECTS}/1/prompts"), ("PATCH", f"{OBJECTS}/1")]
    paths += [("DELETE", f"{OBJECTS}/-1"), ("PUT", "/api/streams/1/phrases"), ("PUT", "/api/streams/9/playback")]
    before = empty.call("GET", "/api/streams/1")[1]
    for _ in range(500):
        method, path = rng.choice(paths)
        status, answer = empty.call(method, path, malformed(rng))
        assert 400 <= status < 500, (path, answer)
        assert "\n" not in answer["error"]
    sent = 0
    while sent < 400:
        with viewer(empty) as connection:
            try:
                for _ in range(40):
                    data = malformed(rng)
                    connection.send(data if rng.random() < 0.5 else data.decode("latin-1"))
                    sent += 1
            except ConnectionClosed:
                pass  # sent away after too many
    port = int(empty.url.rsplit(":", 1)[1])
    for _ in range(100):
        with socket.create_connection(("127.0.0.1", port)) as raw:
            raw.sendall(rng.choice([b"GET / HTTP/9\r\n\r\n", b"\x16\x03\x01", b"GET /api/socket HTTP/1.1\r\n\r\n"]))
    after = empty.call("GET", "/api/streams/1")[1]
    assert [after[key] for key in ("objects", "prompts", "error", "ended")] == [
        before[key] for key in ("objects", "prompts", "error", "ended")
    ]
    assert after["processed"] > before["processed"]
    assert capfd.readouterr().err == ""


def test_viewers_that_stall_and_a_hundred_that_connect_change_nothing(empty: Run) -> None:
    """Tracking goes on, and a stalled viewer holds no frames back for itself."""
    stalled = [viewer(empty) for _ in range(4)]
    for one in stalled:
        one.send('{"type": "show", "streams": {"1": 4096}}')
        one.send('{"type": "next"}')
    crowd = [viewer(empty) for _ in range(100)]
    try:
        for one in crowd:
            one.send('{"type": "show", "streams": {"1": 64}}')
        done = empty.call("POST", OBJECTS, CLICK)[1]
        threads = [threading.Thread(target=next_frame, args=[one]) for one in crowd]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not any(thread.is_alive() for thread in threads), "each of a hundred is served"
        assert empty.call("GET", "/api/metrics")[1]["viewers"] == 104
        empty.wait_for(lambda: max(empty.results[0].by_frame) >= done["frame"] + 20)
        assert empty.streams[0].error is None
    finally:
        for one in (*stalled, *crowd):
            one.close()
    empty.wait_for(lambda: empty.call("GET", "/api/metrics")[1]["viewers"] == 0)


def test_the_document_names_every_path(run: Run) -> None:
    status, document = run.call("GET", "/api/openapi.json")
    assert status == 200
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]["/api/streams/{stream}/objects/{object_id}"]) == {"patch", "delete"}
    assert "AddObject" in document["components"]["schemas"]
    references = json.dumps(document).split('"#/components/schemas/')[1:]
    assert {each.split('"')[0] for each in references} <= set(document["components"]["schemas"])


def test_a_paused_file_steps_and_a_stream_that_ended_says_so(nano_bundle: Path) -> None:
    with viewed_run(nano_bundle, frames=5, paused=True) as run:
        assert run.call("GET", "/api/streams/1")[1]["frame"] == 0
        assert run.call("POST", OBJECTS, CLICK)[1] == {"frame": 1, "object": 1}, "a click lets a frame pass"
        run.call("PUT", "/api/streams/1/playback", {"step": 2})
        run.call("PUT", "/api/streams/1/playback", {"paused": False})
        run.wait_for(lambda: run.call("GET", "/api/streams/1")[1]["ended"])
        status, answer = run.call("POST", OBJECTS, CLICK)
        assert (status, answer["error"]) == (409, "the stream has ended; nothing can be asked of it any more")
        with viewer(run) as connection:
            assert json.loads(connection.recv(timeout=20))["streams"][0]["ended"]
            run.view.close()
            heard = [message for message in connection if isinstance(message, str)]
            assert json.loads(heard[-1]) == {"type": "ended"}


def test_a_snapshot_holds_picture_masks_and_the_prompts_that_made_them(empty: Run, tmp_path: Path) -> None:
    done = empty.call("POST", OBJECTS, {**CLICK, "name": "left disc"})[1]
    empty.wait_for(lambda: empty.call("GET", "/api/streams/1/result")[1]["frame"] >= done["frame"])
    status, zipped = empty.call("GET", "/api/streams/1/snapshot")
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        assert set(archive.namelist()) == {"picture.png", "overlay.png", "masks.png", "result.json", "prompts.json"}
        archive.extractall(tmp_path)
    shown = json.loads((tmp_path / "result.json").read_text())
    ids = np.asarray(Image.open(tmp_path / "masks.png"))
    assert np.array_equal(ids == done["object"], empty.results[0].by_frame[shown["frame"]].masks[0])
    picture = np.asarray(Image.open(tmp_path / "picture.png"))
    assert np.array_equal(picture, empty.cameras[0].image(shown["frame"]))
    prompts = read_prompt_file(tmp_path / "prompts.json")
    assert prompts.names[done["object"]] == "left disc"
    assert [(one.frame, one.object) for one in prompts.prompts] == [(done["frame"], done["object"])]
