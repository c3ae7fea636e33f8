"""Training: a resumed run is the uninterrupted one; foreign checkpoints are refused; budgets count work only."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gradient_sharing import Worker
from recipe import CLIP_EVERY, Moment, Recipe
from state import NAME, load
from train import SLOWEST_STEP_S, Budget, main, train

TINY = Recipe(
    hidden=64, widths=(8, 16, 32, 64), workers=1, pictures=2, clips=1, pool=6, pool_frames=8, warm_up=2,
    kinds=(("cluttered", 1.0),),
)  # fmt: skip
STEPS = 9


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    straight = train(tmp_path / "a", TINY, Budget(steps=STEPS))
    train(tmp_path / "b", TINY, Budget(steps=STEPS), until_step=6)
    resumed = train(tmp_path / "b", TINY, Budget(steps=STEPS))
    assert straight.step == resumed.step == STEPS
    for name, value in straight.view.model.state_dict().items():
        assert torch.equal(value, resumed.view.model.state_dict()[name]), name
        assert torch.equal(straight.average.state[name], resumed.average.state[name]), name


def test_a_larger_budget_goes_on_from_the_same_weights(tmp_path: Path) -> None:
    before = train(tmp_path, TINY, Budget(steps=2))
    weights = {name: value.clone() for name, value in before.view.model.state_dict().items()}
    loaded = load(tmp_path, TINY, "cpu")
    assert loaded is not None
    assert all(torch.equal(value, weights[name]) for name, value in loaded.view.model.state_dict().items())
    assert Budget(steps=4).progress(loaded) == 0.5
    assert train(tmp_path, TINY, Budget(steps=4)).step == 4


def test_another_configuration_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, TINY, Budget(steps=1))
    with pytest.raises(ValueError, match=r"another configuration: .*seed 0 \(here 5\)"):
        load(tmp_path, replace(TINY, seed=5), "cpu")
    assert main([str(tmp_path), "--steps", "2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "hidden 64 (here 128)" in error


def test_a_damaged_checkpoint_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / NAME).write_bytes(b"not a checkpoint")
    assert main([str(tmp_path), "--steps", "2"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert NAME in error


def ticking(step_s: float) -> Callable[[], float]:
    now = 0.0

    def clock() -> float:
        nonlocal now
        now += step_s
        return now

    return clock


def test_a_stopped_process_spends_no_budget(tmp_path: Path) -> None:
    run = train(tmp_path, TINY, Budget(seconds=1e6), until_step=2, clock=ticking(100.0))
    assert run.used_s <= 2 * SLOWEST_STEP_S


@pytest.mark.parametrize(("seconds", "steps"), [(None, None), (1.0, 1), (None, 0), (-1.0, None)])
def test_a_budget_is_one_positive_figure(seconds: float | None, steps: int | None) -> None:
    with pytest.raises(ValueError, match="budget"):
        Budget(seconds, steps)


def test_lessons_follow_the_budget() -> None:
    assert Moment(0.1, CLIP_EVERY).stills
    assert not Moment(0.1, CLIP_EVERY).is_clip
    assert sum(Moment(0.6, step).is_clip for step in range(6 * CLIP_EVERY)) == 6
    lengths = [Moment(progress, 4).clip_frames for progress in (0.43, 0.6, 0.99)]
    assert lengths == sorted(lengths)
    assert Moment(0.999, 1000).rate < 0.05 < Moment(0.2, 1000).rate


def test_workers_share_the_mean_gradient() -> None:
    board, barrier = torch.zeros(2, 6), threading.Barrier(2)
    found: dict[int, tuple[list[torch.Tensor | None], float]] = {}

    def member(rank: int) -> None:
        used, one_sided, unused = (torch.zeros(size, requires_grad=True) for size in (2, 2, 1))
        used.grad = torch.full((2,), float(rank))
        one_sided.grad = torch.full((2,), 4.0) if rank else None
        worker = Worker(rank, 2, board, barrier)  # type: ignore[arg-type]
        figure = worker.share([used, one_sided, unused], 10.0 * rank)
        found[rank] = [part.grad for part in (used, one_sided, unused)], figure

    members = [threading.Thread(target=member, args=(rank,)) for rank in range(2)]
    for each in members:
        each.start()
    for each in members:
        each.join()
    for gradients, figure in found.values():
        assert gradients[0] is not None
        assert gradients[1] is not None
        assert gradients[0].tolist() == [0.5, 0.5]
        assert gradients[1].tolist() == [2.0, 2.0]
        assert gradients[2] is None
        assert figure == 5.0
