"""What `run` takes from a tuned bundle, what a user's own options change, and `--target-fps`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import pytest
from command_line import Cli
from masklet.calibration.tuning.write import write_tuned
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.tuning import Attending, Settings, Step, Tuning
from masklet.runtime.startup.backend_choice import BackendChoice
from masklet.runtime.streams.metrics import Metrics
from two_discs import two_discs

CHOSEN = Attending(memory_frames=2, update_interval=2)
STEPS = (
    Step(Attending(), 40.0, 0.0),
    Step(CHOSEN, 20.0, 0.4),
    Step(Attending(memory_frames=1, update_interval=3), 10.0, 2.0),
)
TUNING = Tuning(
    settings=Settings(threads=1, memory_detail="foveated:20", attending=CHOSEN),
    target_ms=25.0,
    ms=20.0,
    exact_ms=60.0,
    loss=0.4,
    by="J&F",
    steps=STEPS,
    objects=1,
    frames=60,
    cpu="a CPU",
)
CLICK = ("--point", "40,45")


@pytest.fixture(scope="module")
def tuned(variants_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The foveated variant, tuned."""
    root = tmp_path_factory.mktemp("tuned") / "t.bundle"
    write_tuned(Bundle.load(variants_bundle, variant="128-foveated"), TUNING, root, replace=False)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of 60 frames."""
    folder = tmp_path_factory.mktemp("clip") / "frames"
    folder.mkdir()
    for frame in two_discs(60, 128, (40, 45, 16), (90, 80, 20)):
        cv2.imwrite(str(folder / f"{frame.index:03d}.png"), frame.image[..., ::-1])
    return folder


@pytest.fixture
def run(cli: Cli, folder: Path, tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """Runs a bundle; returns its masks and what it logged."""

    def masks(*words: object) -> tuple[str, str]:
        path = tmp_path / "m.jsonl"
        code, _, err = cli("run", words[0], folder, *CLICK, "--masks", path, *words[1:])
        assert code == 0, err
        return path.read_text(), err

    return masks


def test_the_bundle_holds_one_variant_and_what_was_tuned(tuned: Path, variants_bundle: Path) -> None:
    manifest = Bundle.load(tuned).manifest
    assert manifest.tuning == TUNING
    assert [v.model.form for v in manifest.all_variants()] == ["128-foveated"]
    whole = {file.path for file in Bundle.load(variants_bundle).manifest.files()}
    kept = {path.relative_to(tuned).as_posix() for path in tuned.rglob("*") if path.is_file()}
    assert {file.path for file in manifest.files()} < kept
    assert {file.path for file in manifest.files()} < whole


def test_run_takes_the_tuned_settings(run: Callable[..., tuple[str, str]], tuned: Path, variants_bundle: Path) -> None:
    masks, err = run(tuned)
    assert "masklet: tuned: 20.0 ms a frame, 3.0x as fast as the exact pipeline, 0.40 points of J&F lost" in err
    assert "foveated:20, 2 recent frames, update every 2 frames; --untuned runs it without" in err
    assert "tuned on a CPU, here times differ" in err
    words = ("--variant", "128-foveated", "--memory-detail", "foveated:20", "--memory-frames", 2)
    wanted, _ = run(variants_bundle, *words, "--update-interval", 2)
    assert masks == wanted
    own, _ = run(tuned, "--memory-frames", 3, "--update-interval", 1)
    assert own == run(variants_bundle, *words[:-1], 3)[0]
    assert run(tuned, "--untuned")[0] == run(variants_bundle, "--variant", "128-foveated")[0]


@pytest.mark.parametrize(("words", "threads"), [((), 1), (("--threads", 2), 2), (("--untuned",), None)])
def test_the_tuned_threads_are_used_unless_others_are_given(
    run: Callable[..., tuple[str, str]],
    tuned: Path,
    words: tuple[object, ...],
    threads: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened, open_ = list[int | None](), BackendChoice.open

    def noted(choice: BackendChoice, *given: Any) -> Any:
        opened.append(choice.threads)
        return open_(choice, *given)

    monkeypatch.setattr(BackendChoice, "open", noted)
    run(tuned, *words)
    assert opened == [threads]


def test_a_budget_that_is_not_kept_is_stepped_to_and_said(run: Callable[..., tuple[str, str]], tuned: Path) -> None:
    _, err = run(tuned, "--target-fps", 100_000, "--log-json")
    events = [json.loads(line) for line in err.splitlines()]
    said = [event["detail"] for event in events if event["event"] == "budget"]
    assert len(said) == 1  # 24 frames at the tuned step, then at the last one
    assert said[0].endswith("ms of 0.0: 1 recent frames, objects are segmented every 3 frames")
    _, err = run(tuned, "--target-fps", 0.01, "--log-json")
    events = [json.loads(line) for line in err.splitlines()]
    assert [e["detail"].partition(": ")[2] for e in events if e["event"] == "budget"] == ["all recent frames"]


def test_the_steps_that_a_stream_takes_are_in_the_metrics(
    run: Callable[..., tuple[str, str]], tuned: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prometheus_client")
    pages, stepped = list[str](), Metrics.stepped

    def scraped(metrics: Metrics, stream: int, step: int) -> None:
        stepped(metrics, stream, step)
        pages.append(urlopen(metrics.url).read().decode())

    monkeypatch.setattr(Metrics, "stepped", scraped)
    run(tuned, "--target-fps", 100_000, "--metrics", "127.0.0.1:0")
    assert ['masklet_budget_step{stream="1"} 2.0' in page for page in pages] == [True]


def test_a_budget_needs_a_tuned_bundle(cli: Cli, tuned: Path, nano_bundle: Path, folder: Path) -> None:
    for words, message in (
        ((nano_bundle, folder, *CLICK), "tune it first, or leave the option out"),
        ((tuned, folder, *CLICK, "--untuned"), "leave out --untuned"),
    ):
        code, _, err = cli("run", *words, "--target-fps", 30)
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1
