"""What an archive does before and beside Ray: manifests, listing, one video, estimates, bad input."""

import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from archive_clips import FRAMES, Clips
from command_line import Cli
from masklet.runtime.archive.listing import list_videos
from masklet.runtime.archive.plan import ArchivePlan, seal_of
from masklet.runtime.archive.progress import Progress
from masklet.runtime.archive.result_folder import ResultFolder
from masklet.runtime.archive.result_set import VideoResult
from masklet.runtime.archive.video import ArchiveVideo, name_of
from masklet.runtime.archive.worker import Worker
from masklet.runtime.bundle.bundle import Bundle, BundleChoice
from masklet.runtime.bundle.manifest import write_manifest
from masklet.runtime.bundle.tuning import Attending, Settings, Tuning
from masklet.runtime.errors import MaskletError, PromptError, SinkError, SourceError
from masklet.runtime.prompts.prompts import Points
from masklet.runtime.sinks.outputs import Outputs
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.startup.tracking_request import TrackingRequest
from noise_clip import write_noise

CLICK = TrackingRequest({0: {1: Points.click(40, 30)}})
NOTHING = TrackingRequest({})
TUNING = Tuning(
    settings=Settings(attending=Attending(memory_frames=1, update_interval=2)),
    target_ms=25.0,
    ms=20.0,
    exact_ms=60.0,
    loss=0.4,
    by="IoU",
    steps=(),
    objects=1,
    frames=60,
    cpu="a CPU",
)
HOLD = """
import sys, time
from pathlib import Path
from masklet.runtime.archive.folder_lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def plan(bundle: Path, out: Path) -> ArchivePlan:
    cut = {"start": 0, "end": None, "stride": 1, "max_side": None}
    return ArchivePlan(BundleChoice(bundle), seal_of(bundle), BackendChoice(threads=1), cut, ResultFolder(out))


def test_a_manifest_says_what_to_track_in_each(tmp_path: Path, clips: Clips) -> None:
    first, second, third = clips(3)
    table = tmp_path / "list.csv"
    table.write_text(
        "video,name,point,box,text\n"
        f'{first},one,"1:40,30; 2:20,20",,\n'
        f'clips/clip1,,,"1:1,1,9,9",\n'
        f"{third},,,,yellow bus;dog\n"
        "s3://bucket/a.mp4,,,,\n"
    )
    videos = list_videos([str(table)], CLICK)
    assert videos[0].name == "one"
    assert sorted(videos[0].request.schedule[0]) == [1, 2]
    assert videos[1].source == str(second)
    assert [concept.name for concept in videos[2].request.concepts] == ["yellow bus", "dog"]
    assert videos[3].request == CLICK  # what a row does not say is common to all
    assert len({video.digest for video in videos}) == 4


def test_a_manifest_as_parquet(tmp_path: Path, clips: Clips) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (clip,) = clips(1)
    parquet.write_table(
        pyarrow.table({"video": [str(clip)], "point": ["3:40,30"], "text": [None]}), tmp_path / "a.parquet"
    )
    (video,) = list_videos([str(tmp_path / "a.parquet")], NOTHING)
    assert list(video.request.schedule[0]) == [3]


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("file,point\na.mp4,\n", "has no column video; a manifest has the columns video, name"),
        ("video,points\na.mp4,\n", "has an unknown column 'points'"),
        ("video,point\nnone.mp4,\n", "row 2: .*none.mp4: no such file or folder"),
        ("video,point\nlist.csv,40\n", "row 2: .*--point 40"),
        ("video,name\nlist.csv,../a\n", "row 2: its name '../a' is no name of a folder"),
    ],
)
def test_bad_manifests(tmp_path: Path, table: str, says: str) -> None:
    (tmp_path / "list.csv").write_text(table)
    with pytest.raises(MaskletError, match=rf"list.csv.*{says}"):
        list_videos([str(tmp_path / "list.csv")], CLICK)


def test_listing(tmp_path: Path, clips: Clips) -> None:
    clips(3)
    videos = list_videos([str(tmp_path / "clips" / "clip[01]"), str(tmp_path / "clips" / "*")], CLICK)
    assert [Path(video.source).name for video in videos] == ["clip0", "clip1", "clip2"]
    assert len({video.name for video in videos}) == 3
    with pytest.raises(SourceError, match="nothing matches it"):
        list_videos([str(tmp_path / "*.mp4")], CLICK)
    with pytest.raises(PromptError, match=r"nothing to track in .*clip0"):
        list_videos([str(tmp_path / "clips" / "clip0")], NOTHING)


def test_a_worker(nano_bundle: Path, tmp_path: Path, clips: Clips) -> None:
    """A URL is fetched, Parquet and an overlay are written, and a full disk ends more than one video."""
    parquet = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("fsspec")
    (clip,) = clips(1)
    wanted = replace(plan(nano_bundle, tmp_path / "out"), format="parquet", overlay=True)
    (tmp_path / "out").mkdir()
    worker = Worker(wanted)
    assert worker.open()[1] is None
    video = ArchiveVideo((clip / "0.png").as_uri(), CLICK)
    outcome = worker.run(video)
    assert outcome.result is not None, outcome.error
    folder = tmp_path / "out" / video.name
    assert sorted(path.name for path in folder.iterdir()) == ["masks.parquet", "overlay.mp4", "result.json"]
    result = msgspec.json.decode((folder / "result.json").read_bytes(), type=VideoResult)
    assert (result.frames, result.objects, result.digest) == (1, 1, wanted.digest(video))
    (row,) = parquet.read_table(folder / "masks.parquet").to_pylist()
    assert (row["frame"], row["id"], row["height"], row["width"]) == (0, 1, 60, 80)
    missing = worker.run(ArchiveVideo(f"{clip.as_uri()}/none.png", CLICK))
    assert "cannot be fetched" in (missing.error or "")
    assert not missing.fatal


def test_a_full_disk(nano_bundle: Path, tmp_path: Path, clips: Clips, monkeypatch: pytest.MonkeyPatch) -> None:
    (clip,) = clips(1)
    (tmp_path / "out").mkdir()
    worker = Worker(plan(nano_bundle, tmp_path / "out"))
    worker.open()

    def full(*words: object, **more: object) -> None:
        raise SinkError("masks.jsonl: No space left on device, after 0 bytes were written")

    monkeypatch.setattr(Outputs, "open", full)
    outcome = worker.run(ArchiveVideo(str(clip), CLICK))
    assert outcome.fatal
    assert "No space left on device" in (outcome.error or "")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_estimate_writes_nothing(nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli) -> None:
    words = ["archive", nano_bundle, *clips(5), "-o", tmp_path / "out", "--point", "40,30", "--workers", "2"]
    code, out, err = cli(*words, "--dry-run")
    assert code == 0, err
    assert out.startswith(f"5 videos, {5 * FRAMES} frames, ")
    assert "hours on 2 workers" in out
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ray", "127.0.0.1"], "--ray 127.0.0.1: wanted HOST:PORT of the head node"),
        (["--ray", "127.0.0.1:9"], "--ray 127.0.0.1:9: nobody answers there: "),
        (["--text", "dog"], "has no concept detector"),
    ],
)
def test_bad_input(nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, words: list[str], says: str) -> None:
    pytest.importorskip("ray")
    code, _, err = cli("archive", nano_bundle, *clips(1), "-o", tmp_path / "out", "--point", "40,30", *words)
    assert (code, err.count("\n")) == (2, 1), err
    assert says in err


def test_no_extra_and_no_folder(
    nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["archive", nano_bundle, *clips(1), "--point", "40,30", "-o"]
    code, _, err = cli(*words, tmp_path / "none" / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, err = cli(*words, tmp_path / "out")
    assert code == 2
    assert "pip install 'masklet[archive]'" in err


def test_two_archives_in_one_folder(
    in_process: None, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli
) -> None:
    """The second one names the first; what a dead process holds is taken over."""
    out = tmp_path / "out"
    words = ["archive", nano_bundle, *clips(1), "-o", out, "--point", "40,30"]
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(out)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    code, _, err = cli(*words)
    assert (code, err.count("\n")) == (2, 1), err
    assert f"{out}: process {holder.pid} on {socket.gethostname()} runs an archive there; wait" in err
    holder.kill()
    holder.communicate()
    code, _, err = cli(*words)
    assert code == 0, err
    assert "1 of 1 videos" in err


def test_a_full_store(
    in_process: None, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is finished stays; nothing that looks like a result is left of the rest, which is run when there is room."""
    folders, out = clips(3), tmp_path / "out"
    options = ("-o", out, "--point", "40,30")
    assert cli("archive", nano_bundle, folders[0], *options)[0] == 0
    monkeypatch.setattr("masklet.runtime.archive.track_video.MASKS", "/dev/full")
    code, _, err = cli("archive", nano_bundle, *folders, *options)
    assert (code, err.count("No space left on device")) == (2, 1), err
    assert "what is finished stays, run the same command again" in err
    monkeypatch.undo()
    assert sorted(path.name for path in out.iterdir()) == sorted([".lock", "summary.csv", name_of(str(folders[0]))])


def test_a_bundle_that_differs_between_workers(
    in_process: None, nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second worker finds another bundle at the path, sound in itself."""
    root, began = tmp_path / "copy.bundle", Progress.began
    shutil.copytree(nano_bundle, root)

    def exchange(self: Progress, worker: int, pid: int) -> None:
        began(self, worker, pid)
        manifest = Bundle.load(root).manifest
        write_manifest(root, msgspec.structs.replace(manifest, made_with={"by": "another"}))

    monkeypatch.setattr(Progress, "began", exchange)
    words = ["archive", root, *clips(2), "-o", tmp_path / "out", "--point", "40,30", "--workers", "2"]
    code, _, err = cli(*words)
    assert code == 2
    assert f"a worker cannot start: {root}: is another bundle on {socket.gethostname()} than where" in err


def test_memory_and_tuned_settings(in_process: None, nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    """The bytes are those of `masklet run` with the same options; other options are other results."""
    tuned, clip, out, made = tmp_path / "tuned.bundle", tmp_path / "clip", tmp_path / "out", list[bytes]()
    clip.mkdir()
    write_noise(clip, 6)
    shutil.copytree(nano_bundle, tuned)
    write_manifest(tuned, msgspec.structs.replace(Bundle.load(tuned).manifest, tuning=TUNING))
    for root, more in (
        (nano_bundle, []),
        (tuned, ["--untuned"]),
        (nano_bundle, ["--memory-frames", "1", "--update-interval", "2"]),
        (tuned, []),
        (nano_bundle, ["--memory", "last_seen"]),
    ):
        words = [root, clip, "--point", "40,30", *more]
        code, _, err = cli("archive", *words, "-o", out)
        assert code == 0, err
        assert "1 of 1 videos" in err
        assert ("--untuned runs it without" in err) == (root == tuned and not more)
        assert cli("run", *words, "--masks", tmp_path / "one.jsonl", "--threads", "1")[0] == 0
        made.append((out / name_of(str(clip)) / "masks.jsonl").read_bytes())
        assert made[-1] == (tmp_path / "one.jsonl").read_bytes()
    assert made[0] == made[1] != made[2] == made[3]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--memory", "none"], "no memory policy 'none'"),
        (["--memory-detail", "pooled:2"], "export it with --foveated"),
        (["--memory", "samurai"], "cannot serve the memory policy 'samurai'"),
    ],
)
def test_memory_that_the_model_has_not(
    nano_bundle: Path, tmp_path: Path, clips: Clips, cli: Cli, words: list[str], says: str
) -> None:
    code, _, err = cli("archive", nano_bundle, *clips(1), "--point", "40,30", *words, "-o", tmp_path / "out")
    assert (code, err.count("\n")) == (2, 1)
    assert says in err
