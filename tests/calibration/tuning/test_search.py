"""The search against brute force, on models whose cost is made up: what it chooses, proves, keeps and leaves out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from made_up_search import CLIPS, made, models_exact_ms, run, true_loss, true_ms
from masklet.calibration.clips.clips import Clip
from masklet.calibration.scoring.closed_loop import Evaluation
from masklet.calibration.tuning.journal import Journal
from masklet.calibration.tuning.point import Point
from masklet.calibration.tuning.search import FINALISTS, LEVELS, NEAR, ROUNDS
from masklet.calibration.tuning.stage_times import ModelTimes
from masklet.calibration.tuning.trial import Outcome, proving, searched


@pytest.fixture
def exact_ms(variants_bundle: Path) -> float:
    return models_exact_ms(variants_bundle)


@pytest.mark.parametrize("share", [0.25, 0.4, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("max_loss", [1.0, 5.0])
def test_no_point_of_all_is_much_faster_and_better_than_the_one_that_is_chosen(
    variants_bundle: Path, tmp_path: Path, exact_ms: float, share: float, max_loss: float
) -> None:
    search, trial = made(variants_bundle, tmp_path, share * exact_ms, max_loss=max_loss)
    run(search)
    models, chosen = search.models, search.chosen()
    every = [(true_ms(models, p), true_loss(models, p)) for p in search.knobs.points(models) if p != models.exact]
    fitting = [(ms, loss) for ms, loss in every if ms <= share * exact_ms / 1.05 and loss <= max_loss]
    assert len(every) > 400
    assert len(trial.tried) <= 14 + ROUNDS * NEAR + LEVELS + 2 * (FINALISTS + LEVELS)
    if chosen is None:
        assert not [loss for _, loss in fitting if loss < max_loss - 0.5]
        return
    assert chosen.proved
    assert chosen.times.mean <= share * exact_ms
    assert chosen.loss <= max_loss
    assert chosen.loss <= min((loss for _, loss in fitting), default=max_loss) + 0.5
    assert not [(ms, loss) for ms, loss in fitting if ms < chosen.times.mean / 1.05 and loss < chosen.loss - 0.5]


def test_predictions_are_near_what_is_measured(variants_bundle: Path, tmp_path: Path, exact_ms: float) -> None:
    search, _ = made(variants_bundle, tmp_path, exact_ms / 2)
    run(search)
    pairs = [(o.predicted_ms, o.times.mean) for o in search.outcomes if o.predicted_ms is not None]
    assert len(pairs) > 15
    assert np.median([abs(one / other - 1) for one, other in pairs]) < 0.1
    stale = [o for o in search.outcomes if o.point.update > 1 and o.predicted_ms is None]
    assert {o.point.update for o in stale} == {2, 3}  # of the first at each interval nothing could be known


def test_the_front_is_that_of_brute_force(variants_bundle: Path, tmp_path: Path, exact_ms: float) -> None:
    search, _ = made(variants_bundle, tmp_path, exact_ms / 2, max_loss=9.0)
    run(search)
    front, proved = search.front(), [o for o in search.outcomes if o.proved]
    assert [o.times.mean for o in front] == sorted(o.times.mean for o in front)
    for one in proved:
        beaten = any(o.times.mean <= one.times.mean and o.loss < one.loss for o in proved)
        beaten |= any(o.times.mean < one.times.mean and o.loss <= one.loss for o in proved)
        assert (one in front) == (not beaten)


def test_what_chance_favoured_on_the_searched_clips_is_not_chosen(
    variants_bundle: Path, tmp_path: Path, exact_ms: float
) -> None:
    """The points that look best lose more on other clips: one that keeps its word is taken instead."""
    plain, _ = made(variants_bundle, tmp_path / "a", exact_ms / 2, max_loss=3.0)
    run(plain)
    lucky = {o.point for o in plain.outcomes if o.proved and o.point.frames is None} - {plain.models.exact}
    first = plain.chosen()
    assert first is not None
    lucky.add(first.point)
    search, trial = made(
        variants_bundle, tmp_path / "b", exact_ms / 2, max_loss=3.0, later=lambda point: 9.0 * (point in lucky)
    )
    run(search)
    chosen = search.chosen()
    assert chosen is not None
    assert chosen.proved
    assert chosen.point not in lucky
    assert chosen.loss == pytest.approx(true_loss(search.models, chosen.point))
    assert any(point in lucky for point, proved in trial.tried if proved)


def test_the_clips_that_prove_are_not_those_that_are_searched() -> None:
    for count in range(2, 9):
        clips = [Clip(str(n), {}, {}) for n in range(count)]
        names = [[clip.source for clip in part(clips)] for part in (searched, proving)]
        assert names[0]
        assert names[1]
        assert names[0] + names[1] == [clip.source for clip in clips]
        assert len(names[0]) == -(-count // 3)


def test_it_goes_on_with_what_is_known(variants_bundle: Path, tmp_path: Path, exact_ms: float) -> None:
    """A search that was stopped anywhere comes to the same as one that was not, and tries nothing twice."""
    whole, trial = made(variants_bundle, tmp_path / "whole", exact_ms / 2)
    run(whole)
    for stop in (1, 9, 20, len(trial.tried) - 1):
        folder = tmp_path / str(stop)
        broken, _ = made(variants_bundle, folder, exact_ms / 2)
        broken.tell = interrupting(stop)
        with pytest.raises(KeyboardInterrupt):
            run(broken)
        (folder / "journal.jsonl").open("ab").write(b'{"outcome":{"point')  # the line that was being written
        again, rest = made(variants_bundle, folder, exact_ms / 2)
        run(again)
        assert len(rest.tried) == len(trial.tried) - stop + 1
        assert again.chosen() == whole.chosen()
        assert again.front() == whole.front()


def interrupting(stop: int) -> Callable[[str, int, int | None], None]:
    count = 0

    def tell(what: str, done: int, total: int | None) -> None:
        nonlocal count
        count += 1
        if count == stop:
            raise KeyboardInterrupt

    return tell


def test_measurements_of_another_request_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, "one").keep_times((0, "128"), ModelTimes({}, 1.0, 1.0, 7, 6))
    assert Journal(path, "one").times
    assert not Journal(path, "other").times


def test_it_ends_in_time(variants_bundle: Path, tmp_path: Path, exact_ms: float) -> None:
    """Each trial takes as long as its frames do: none is begun that would end too late, and some are proved."""
    now = [0.0]
    search, trial = made(variants_bundle, tmp_path, exact_ms / 2, max_loss=9.0, end_s=30.0, clock=lambda: now[0])
    plain = trial.run

    def slow(point: Point, *, proved: bool, progress: Callable[[int], None]) -> tuple[Outcome, Evaluation]:
        now[0] += (40 if proved else 20) * true_ms(search.models, point) / 1e3
        return plain(point, proved=proved, progress=progress)

    trial.run = cast(Callable[..., tuple[Outcome, Evaluation]], slow)  # type: ignore[method-assign]
    run(search)
    assert now[0] <= 31
    assert len(trial.tried) > 3
    chosen = search.chosen()
    assert chosen is not None
    assert chosen.proved


def alone(knobs: Sequence[tuple[str, Point]]) -> list[str]:
    return [knob for knob, _ in knobs]


def test_each_knob_is_turned_alone(variants_bundle: Path, tmp_path: Path) -> None:
    search, _ = made(variants_bundle, tmp_path, 1.0)
    search._measure_stages(CLIPS[0])
    turned = search.knobs.alone(search.models)
    assert set(alone(turned)[:5]) == {"memory", "frames", "pointers", "update", "numerics"}  # first one of each
    exact = search.models.exact
    for knob, point in turned:
        changed = set(point.knobs().items()) - set(exact.knobs().items())
        assert {name for name, _ in changed} == {knob}
