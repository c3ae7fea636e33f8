"""`masklet archive` on a local Ray with two workers."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from archive_clips import FRAMES, Clips
from command_line import Cli
from masklet.runtime.archive.progress import Progress
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.result_set import SEGMENTS, VideoResult
from masklet.runtime.archive.video import ArchiveVideo, name_of
from noise_clip import write_noise

POINT = ("--point", "40,30")
OTHER_VERSION = """
import sys
import ray
ray.__version__ = "0.0.1"
from masklet.runtime.cli.main import main
sys.argv[0] = "masklet"
main()
"""


def masks(out: Path, clip: Path) -> bytes:
    return (out / name_of(str(clip)) / "masks.jsonl").read_bytes()


def summary(out: Path) -> dict[str, dict[str, str]]:
    with (out / "summary.csv").open() as file:
        return {row["source"]: row for row in csv.DictReader(file)}


def test_bytes_are_those_of_a_run(on_ray: Any, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli) -> None:
    folders, out = clips(4), tmp_path / "out"
    words = ["archive", nano_bundle, str(tmp_path / "clips" / "*"), "-o", out, *POINT]
    code, _, err = cli(*words, "--workers", "2")
    assert code == 0, err
    assert "4 of 4 videos" in err
    assert err.count(": process ") == 2  # workers
    for folder in folders:
        assert cli("run", nano_bundle, folder, *POINT, "--masks", tmp_path / "one.jsonl", "--threads", "1")[0] == 0
        assert masks(out, folder) == (tmp_path / "one.jsonl").read_bytes()
        row = summary(out)[str(folder)]
        assert (row["status"], row["frames"], row["objects"]) == ("finished", str(FRAMES), "1")
    code, _, err = cli(*words)
    assert code == 0
    assert "all 4 videos were finished before" in err


def test_a_bad_video_does_not_stop_the_rest(
    on_ray: Any, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli
) -> None:
    good, out, bad = clips(2), tmp_path / "out", tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    code, _, err = cli("archive", nano_bundle, bad, *good, "-o", out, *POINT, "--workers", "2", "--retries", "1")
    assert code == 3
    assert err.count("tried again") == 1
    assert "bad.mp4: failed: " in err
    assert "1 failed" in err
    assert [masks(out, clip).count(b"\n") for clip in good] == [FRAMES, FRAMES]
    assert summary(out)[str(bad)]["status"] == "failed"
    assert not (out / name_of(str(bad))).exists()


def test_what_was_finished_is_not_run_again(
    on_ray: Any, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted in the middle, and run again; then with another prompt, which is another result."""
    folders, out = clips(4), tmp_path / "out"
    words = ["archive", nano_bundle, *folders, "-o", out, "--workers", "1"]
    finished = Progress.finished

    def interrupted(self: Progress, result: VideoResult) -> None:
        finished(self, result)
        if self.done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "finished", interrupted)
    assert cli(*words, *POINT)[0] == 130
    monkeypatch.undo()
    monkeypatch.setattr("masklet.runtime.cli.archive_videos.cluster", lambda wanted: _same(on_ray))
    before = {clip: _made(out, clip) for clip in folders if _made(out, clip)}
    assert 2 <= len(before) < 4
    code, _, err = cli(*words, *POINT)
    assert code == 0, err
    assert f"{4 - len(before)} of {4 - len(before)} videos" in err
    assert all(_made(out, clip) == made for clip, made in before.items())
    assert all(_made(out, clip) for clip in folders)
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == [".lock"]
    code, _, err = cli(*words, "--point", "20,20")
    assert "4 of 4 videos" in err
    assert all(_made(out, clip) != made for clip, made in before.items())


def test_killed_workers(
    on_ray: Any, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both workers are killed, one after the other; every video is there, once, as in a run."""
    folders, out, pids = clips(6), tmp_path / "out", list[int]()
    began, finished = Progress.began, Progress.finished
    results: list[str] = []

    def note(self: Progress, worker: int, pid: int) -> None:
        pids.append(pid)
        began(self, worker, pid)

    def kill(self: Progress, result: VideoResult) -> None:
        results.append(result.name)
        finished(self, result)
        if self.done in (1, 3):
            os.kill(pids.pop(), signal.SIGKILL)

    monkeypatch.setattr(Progress, "began", note)
    monkeypatch.setattr(Progress, "finished", kill)
    code, _, err = cli("archive", nano_bundle, *folders, "-o", out, *POINT, "--workers", "2")
    assert code == 0, err
    assert err.count(": process ") >= 3  # a worker was replaced
    assert sorted(results) == sorted(name_of(str(clip)) for clip in folders)
    assert len({masks(out, clip) for clip in folders}) == 1


def test_another_bundle_on_a_worker(
    on_ray: Any, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masklet.runtime.cli.archive_videos.seal_of", lambda root: "0" * 64)
    code, _, err = cli("archive", nano_bundle, *clips(1), "-o", tmp_path / "out", *POINT)
    assert code == 2
    assert "a worker cannot start: " in err
    assert "is another bundle on" in err


def test_a_cluster_of_another_version(ray_here: Any, nano_bundle: Path, tmp_path: Path, clips: Clips) -> None:
    """A process of its own, whose Ray says that it is another one, joins the tests' Ray."""
    address = ray_here.get_runtime_context().gcs_address
    words = ["archive", nano_bundle, *clips(1), "-o", tmp_path / "out", *POINT, "--ray", address]
    command = [sys.executable, "-c", OTHER_VERSION, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1), ended.stderr
    wanted = f"Ray cannot be used: Version mismatch: The cluster was started with: Ray: {ray_here.__version__}"
    assert wanted in ended.stderr
    assert "Ray: 0.0.1" in ended.stderr


def test_segments_of_a_long_video(
    on_ray: Any, sam3_bundle: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker is killed after a segment, and the archive ended after another one; what was finished stays as it is."""
    clip, out, pids = tmp_path / "clip", tmp_path / "out", list[int]()
    clip.mkdir()
    write_noise(clip, 12)
    segments = out / SEGMENTS
    began, ran = Progress.began, Progress.ran

    def note(self: Progress, worker: int, pid: int) -> None:
        pids.append(pid)
        began(self, worker, pid)

    def end(self: Progress, video: ArchiveVideo, segment: VideoResult) -> None:
        ran(self, video, segment)
        if len(pids) == 1:
            os.kill(pids[0], signal.SIGKILL)
        else:
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "began", note)
    monkeypatch.setattr(Progress, "ran", end)
    words = ["archive", sam3_bundle, clip, "-o", out, "--text", "car", "--min-score", "0.05", "--hotstart", "0"]
    words += ["--segment", 4 / 30 / 60, "--overlap", 2 / 30]
    code, _, err = cli(*words)
    assert code == 130, err
    assert "its worker died" in err
    made = list(segments.glob("*/result.json"))
    assert len(made) == 2
    assert not (out / name_of(str(clip))).exists()
    monkeypatch.setattr(Progress, "ran", ran)
    code, _, err = cli(*words)
    assert code == 0, err
    assert "1 of 1 videos, 1 of 1 segments" in err
    lines = [json.loads(line) for line in masks(out, clip).splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert not segments.exists()


def _same(ray: Any) -> Any:
    from contextlib import nullcontext

    return nullcontext(ray)


def _made(out: Path, clip: Path) -> int | None:
    """When a result set was made, in ns; None if it is not there."""
    name = name_of(str(clip))
    return (out / name / "result.json").stat().st_mtime_ns if ResultFolder(out).results([name]) else None
