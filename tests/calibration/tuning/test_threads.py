"""The number of threads: what is timed, what is taken, and what it changes."""

import time
from pathlib import Path

import pytest
from calibration_scenes import Scene
from made_up_search import CLIPS, made, models_exact_ms, run
from masklet.calibration.clips.clips import Clip
from masklet.calibration.tuning.models import Models
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.report import row, tuning
from masklet.calibration.tuning.search import Search
from masklet.calibration.tuning.threads import thread_counts, time_threads
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.prompts.prompts import Points


@pytest.fixture
def exact_ms(variants_bundle: Path) -> float:
    return models_exact_ms(variants_bundle)


def threaded(
    bundle: Path, folder: Path, exact_ms: float, ms: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> tuple[Search, list[Point]]:
    """A search on four cores, on which frames of every point take so long by number of threads."""
    timed: list[Point] = []

    def times(models: Models, point: Point, *_: object) -> dict[int, float]:
        timed.append(point)
        return ms

    monkeypatch.setattr("masklet.calibration.tuning.search.time_threads", times)
    search, _ = made(bundle, folder, exact_ms / 2)
    search.models.threads = 4
    run(search)
    return search, timed


def test_the_chosen_point_runs_with_as_few_threads_as_are_as_fast(
    variants_bundle: Path, tmp_path: Path, exact_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_cores, _ = made(variants_bundle, tmp_path / "a", exact_ms / 2)
    run(all_cores)
    before = all_cores.chosen()
    assert before is not None
    ms = {count: share * before.times.mean for count, share in {1: 2.0, 2: 0.8, 4: 1.0}.items()}
    search, timed = threaded(variants_bundle, tmp_path / "b", exact_ms, ms, monkeypatch)
    chosen = search.chosen()
    assert chosen is not None
    assert timed == [chosen.point] == [before.point]
    assert chosen.threads == 2
    assert chosen.times.mean == pytest.approx(0.8 * before.times.mean)
    written = tuning(search, chosen, CLIPS)
    assert written.settings.threads == 2
    assert written.ms == pytest.approx(chosen.times.mean)
    step = next(step for step in written.steps if step.attending == chosen.point.attending)
    assert step.ms == pytest.approx(chosen.times.mean, abs=1e-3)
    assert "2 threads" in row(search, chosen).name
    again, timed = threaded(variants_bundle, tmp_path / "b", exact_ms, {1: 0.0, 2: 0.0, 4: 0.0}, monkeypatch)
    assert timed == []  # known from the journal
    assert again.chosen() == chosen


def test_all_cores_stay_where_they_are_faster(
    variants_bundle: Path, tmp_path: Path, exact_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, _ = threaded(variants_bundle, tmp_path, exact_ms, {1: 30.0, 2: 16.0, 4: 10.0}, monkeypatch)
    chosen = search.chosen()
    assert chosen is not None
    assert chosen.threads is None
    assert tuning(search, chosen, CLIPS).settings.threads == 4


def test_all_cores_stay_where_the_trial_was_faster_with_them(
    variants_bundle: Path, tmp_path: Path, exact_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few frames, timed in a slow moment, say nothing against many frames of the trial."""
    all_cores, _ = made(variants_bundle, tmp_path / "a", exact_ms / 2)
    run(all_cores)
    before = all_cores.chosen()
    assert before is not None
    ms = {count: share * before.times.mean for count, share in {1: 1.2, 2: 1.3, 4: 1.5}.items()}
    search, _ = threaded(variants_bundle, tmp_path / "b", exact_ms, ms, monkeypatch)
    chosen = search.chosen()
    assert chosen is not None
    assert chosen.threads is None
    assert chosen.times == before.times


def test_what_does_not_fit_may_with_fewer_threads(
    variants_bundle: Path, tmp_path: Path, exact_ms: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, _ = made(variants_bundle, tmp_path / "a", 0.03 * exact_ms, max_loss=99)
    run(alone)
    assert alone.chosen() is None
    monkeypatch.setattr("masklet.calibration.tuning.search.time_threads", lambda *_: {1: 1.0, 2: 10.0})
    search, _ = made(variants_bundle, tmp_path / "b", 0.03 * exact_ms, max_loss=99)
    search.models.threads = 2
    run(search)
    chosen = search.chosen()
    assert chosen is not None
    assert chosen.threads == 1


@pytest.mark.parametrize(
    ("most", "counts"), [(1, [1]), (2, [1, 2]), (4, [1, 2, 4]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_thread_counts(most: int, counts: list[int]) -> None:
    assert thread_counts(most) == counts


def test_a_point_is_timed_with_each_number_of_threads(tuned_from: Path, scenes: list[Scene]) -> None:
    models = Models([Bundle.load(tuned_from, check_hashes=False)], 2)
    clip = Clip(str(scenes[0].frames), {0: {1: Points.click(60, 60)}}, {})
    frames: list[int] = []
    ms = time_threads(models, models.exact, clip, frames.append, time.perf_counter)
    assert list(ms) == [1, 2]
    assert all(taken > 0 for taken in ms.values())
    assert sum(frames) == 2 * 2 * 12
    assert models.threads == 2
