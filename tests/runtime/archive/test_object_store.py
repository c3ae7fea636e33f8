"""Result sets in an object store, here fsspec's in memory: complete or not there, as in a folder."""

import csv
import io
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from archive_clips import Clips
from command_line import Cli
from masklet.runtime.archive.object_store import ObjectStore
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.result_set import RESULT, ResultStore, VideoResult
from masklet.runtime.archive.store import store_at
from masklet.runtime.errors import SinkError

URL = "memory://bucket/results"
CLICK = ["--point", "40,30"]
MADE = VideoResult("a", "a.mp4", "digest", 1, 0, 1, 0.5, 10)


@pytest.fixture
def memory() -> Iterator[Any]:
    """The store, empty before and after."""
    fsspec = pytest.importorskip("fsspec")
    files = fsspec.filesystem("memory")
    files.store.clear()
    yield files
    files.store.clear()


@pytest.fixture(params=["folder", "store"])
def store(request: pytest.FixtureRequest, memory: Any, tmp_path: Path) -> ResultStore:
    return store_at(URL) if request.param == "store" else store_at(str(tmp_path / "out"))


def test_what_is_where(tmp_path: Path) -> None:
    assert store_at("s3://bucket/a") == ObjectStore("s3://bucket/a")
    assert store_at(str(tmp_path)) == ResultFolder(tmp_path)
    assert f"{store_at('s3://bucket/a/').within('b')}" == "s3://bucket/a/b"


def test_a_store_of_either_kind(store: ResultStore, tmp_path: Path) -> None:
    """Both kinds keep the same promises."""
    with store.held():
        assert store.results(["a", "b"]) == {}
        with suppress(InterruptedError), store.result_set("a") as folder:
            (folder / RESULT).write_bytes(msgspec.json.encode(MADE))
            raise InterruptedError
        assert store.results(["a", "b"]) == {}
        for text in ("first", "second"):
            with store.result_set("a") as folder:
                (folder / f"{text}.jsonl").write_text(text)
                (folder / RESULT).write_bytes(msgspec.json.encode(MADE))
        assert store.results(["a", "b"]) == {"a": MADE}
        assert store.copy_here("a/second.jsonl", tmp_path).read_text() == "second"
        with pytest.raises((SinkError, OSError)):
            store.copy_here("a/first.jsonl", tmp_path).read_text()
        with store.within("parts").result_set("a.00001") as folder:
            (folder / RESULT).write_bytes(msgspec.json.encode(MADE))
        store.within("parts").remove("a.[0-9][0-9][0-9][0-9][0-9]")
        assert store.within("parts").results(["a.00001"]) == {}
        assert store.results(["a"]) == {"a": MADE}


@pytest.mark.usefixtures("in_process")
def test_an_archive(nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, memory: Any) -> None:
    """The same bytes as in a folder, a summary beside them, and nothing is run again."""
    words = ["archive", nano_bundle, *clips(3), *CLICK]
    assert cli(*words, "-o", tmp_path / "out")[0] == 0
    code, _, err = cli(*words, "-o", URL)
    assert code == 0, err
    assert f"; {URL}/summary.csv" in err
    for folder in (path for path in (tmp_path / "out").iterdir() if path.is_dir()):
        assert memory.cat(f"/bucket/results/{folder.name}/masks.jsonl") == (folder / "masks.jsonl").read_bytes()
    rows = list(csv.DictReader(io.StringIO(memory.cat("/bucket/results/summary.csv").decode())))
    assert [row["status"] for row in rows] == ["finished"] * 3
    code, _, err = cli(*words, "-o", URL)
    assert (code, "all 3 videos were finished before" in err) == (0, True), err
    code, _, err = cli(*words, "-o", URL, "--format", "parquet")
    assert code == 0, err
    names = [path.rsplit("/", 1)[-1] for path in memory.find("/bucket/results")]
    assert sorted(set(names)) == ["masks.parquet", "result.json", "summary.csv"]


@pytest.mark.usefixtures("in_process")
def test_an_upload_that_fails(
    nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The video is tried again; until then what was copied of it counts for nothing."""
    put, there, sent = type(memory).put_file, [], []

    def fails_once(files: Any, here: str, path: str, **more: Any) -> None:
        sent.append(path.rsplit("/", 1)[-1])
        if sent == ["masks.jsonl", "result.json"]:
            there.append(ObjectStore(URL).results([path.split("/")[-2]]))
            raise ConnectionError("the connection was lost\nand more")
        put(files, here, path, **more)

    monkeypatch.setattr(type(memory), "put_file", fails_once)
    code, _, err = cli("archive", nano_bundle, *clips(2), *CLICK, "-o", URL)
    assert code == 0, err
    assert err.count(f"{URL}: cannot take clip0") == 1
    assert "the connection was lost; tried again" in err
    assert there == [{}]
    assert sent == ["masks.jsonl", "result.json"] * 3
    assert [path.rsplit("/", 1)[-1] for path in memory.find("/bucket/results")].count("result.json") == 2


@pytest.mark.usefixtures("in_process")
def test_a_store_that_cannot_be_written(
    nano_bundle: Path, clips: Clips, cli: Cli, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*words: Any, **more: Any) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(memory), "pipe_file", refuses)
    words = ["archive", nano_bundle, *clips(1), *CLICK, "-o"]
    assert cli(*words, URL)[::2] == (2, f"masklet: error: {URL}: cannot be written: Access Denied\n")
    code, _, err = cli(*words, "nothere://bucket")
    assert (code, err.count("\n")) == (2, 1), err
    assert "nothere://bucket: cannot be opened: Protocol not known: nothere" in err


def test_result_json_is_removed_first(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older result set that is being replaced is never taken for a new one."""
    store, removed = ObjectStore(URL), []
    with store.result_set("a") as folder:
        (folder / RESULT).write_text("{}")
        (folder / "masks.jsonl").write_text("")
    remove = type(memory).rm_file

    def watch(files: Any, path: str) -> None:
        removed.append(path.rsplit("/", 1)[-1])
        remove(files, path)

    monkeypatch.setattr(type(memory), "rm_file", watch)
    store.remove("a")
    assert removed[0] == RESULT
    assert memory.find("/bucket/results") == []
