"""Train the nano SAM 2 on rendered scenes, from nothing or from where the run in a folder stopped.

    python demos/nano/train.py RUN --hours 6 --workers 2

Stage A learns masks from prompts on single pictures, stage B to follow objects through clips. The budget is
the time spent in steps, so a process that is stopped for a while loses nothing; a larger budget on resuming
goes on from the same weights. The data of a step depend on the seed and its number alone.
"""

import argparse
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from gradient_sharing import Worker, together
from lessons import ClipLesson, Outcome, still_lesson
from monitor import validate
from pool import Pool
from recipe import Moment, Recipe
from state import Run, load, new_run, save
from warmup import warm_up

Clock = Callable[[], float]
ALONE = Worker()
MOST_PARAMETERS = 4_000_000
SLOWEST_STEP_S = 30.0
"""A step never counts for more: a stopped process spends no budget."""
SAVE_EVERY_S, LOG_EVERY_S, VALIDATE_EVERY_S = 120.0, 30.0, 420.0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long to train: seconds spent in steps, or a number of steps."""

    seconds: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if (self.seconds is None) == (self.steps is None):
            raise ValueError("give a budget in hours or in steps, and only one of them")
        if (self.seconds or self.steps or 0) <= 0:
            raise ValueError("the budget must be positive")

    def progress(self, run: Run) -> float:
        """Share of the budget that a run has used, 0..1 and beyond."""
        return run.used_s / self.seconds if self.seconds else run.step / float(self.steps or 1)


def _lesson(run: Run, recipe: Recipe, pool: Pool, moment: Moment, rng: np.random.Generator) -> Outcome:
    if moment.is_clip:
        frames = min(moment.clip_frames, recipe.pool_frames)
        batch = pool.draw(rng, recipe.clips, frames, most_objects=2)
        return ClipLesson(run.view, batch, rng, moment.teach).run()
    batch = pool.draw(rng, recipe.pictures, 1, recipe.objects)
    return still_lesson(run.view, run.grouping, batch, rng, moment.help_weight)


def teach(
    run: Run, recipe: Recipe, pool: Pool, progress: float, spent_s: float, worker: Worker = ALONE
) -> dict[str, float]:
    """Take one step with the other workers and return its figures.

    spent_s: duration of the step before; counted here, so that all workers agree on the progress.
    """
    moment = Moment(progress, run.step)
    rng = np.random.default_rng([recipe.seed, run.step, worker.rank])
    torch.manual_seed(recipe.seed + run.step)
    pool.advance(run.step)
    outcome = _lesson(run, recipe, pool, moment, rng)
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.rate * moment.rate
    run.optimizer.zero_grad(set_to_none=True)
    outcome.loss.backward()  # type: ignore[no-untyped-call]
    run.used_s += worker.share(run.parameters, min(spent_s, SLOWEST_STEP_S))
    norm = torch.nn.utils.clip_grad_norm_(run.parameters, 1.0)
    if torch.isfinite(norm):
        run.optimizer.step()
        run.average.update(run.view.model)
    run.step += 1
    return {**outcome.figures, "loss_B" if moment.is_clip else "loss_A": float(outcome.loss.detach())}


class Journal:
    """Prints a line every half minute with the means of the recent figures, and keeps it in log.txt."""

    def __init__(self, folder: Path, loud: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._loud = loud
        self._path = folder / "log.txt"
        self._recent: dict[str, deque[float]] = {}

    def note(self, figures: dict[str, float]) -> None:
        """Take in the figures of a step."""
        for name, value in figures.items():
            self._recent.setdefault(name, deque(maxlen=100)).append(value)

    def line(self, run: Run, progress: float) -> None:
        """Write the means."""
        means = "  ".join(f"{name} {np.mean(values):.3f}" for name, values in sorted(self._recent.items()))
        self.write(f"{progress:6.1%}  step {run.step:6d}  used {run.used_s / 60:6.1f} min  {means}")

    def write(self, text: str) -> None:
        """Write one line to the log and the terminal."""
        if not self._loud:
            return
        print(text, flush=True)
        with self._path.open("a") as file:
            file.write(text + "\n")


def train(
    folder: Path,
    recipe: Recipe,
    budget: Budget,
    device: str = "cpu",
    until_step: int | None = None,
    worker: Worker = ALONE,
    clock: Clock = time.perf_counter,
) -> Run:
    """Train until the budget is used up; the first worker saves now and then and at the end.

    until_step: stop early at this step, as an interruption would.
    """
    run, journal = load(folder, recipe, device), Journal(folder, loud=worker.rank == 0)
    if run is None:
        run = new_run(recipe, device)
        warm_up(run, recipe, journal.write)
    pool = Pool(recipe.plan(), recipe.seed * recipe.workers + worker.rank)
    pool.advance(run.step)
    saved = logged = checked = clock()
    spent_s = 0.0
    while (progress := budget.progress(run)) < 1 and run.step != until_step:
        begun = clock()
        journal.note(teach(run, recipe, pool, progress, spent_s, worker))
        now = clock()
        spent_s = now - begun
        if worker.rank > 0:
            continue
        if now - logged > LOG_EVERY_S:
            journal.line(run, progress)
            logged = now
        if now - checked > VALIDATE_EVERY_S:
            journal.write(f"        validation: {validate(run, recipe.size)}")
            checked = clock()
        if now - saved > SAVE_EVERY_S:
            save(folder, recipe, run)
            saved = clock()
    if worker.rank == 0:
        save(folder, recipe, run)
    return run


def _job(threads: int, folder: Path, recipe: Recipe, budget: Budget, device: str, worker: Worker) -> None:
    torch.set_num_threads(threads)
    cv2.setNumThreads(1)
    train(folder, recipe, budget, device, worker=worker)


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(prog="train.py", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of the run; resumed if it has a checkpoint")
    parser.add_argument("--hours", type=float, help="budget in hours of step time (default 6)")
    parser.add_argument("--steps", type=int, help="budget in steps instead")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=2, help="processes that share gradients (1 on a GPU)")
    parser.add_argument("--threads", type=int, default=1, help="threads of each process")
    parser.add_argument("--size", type=int, default=128, help="edge of the input in pixels")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments)
    hours = 6.0 if chosen.hours is None and chosen.steps is None else chosen.hours
    try:
        budget = Budget(None if hours is None else hours * 3600, chosen.steps)
        recipe = replace(Recipe(), seed=chosen.seed, size=chosen.size, workers=chosen.workers)
        load(chosen.run, recipe, chosen.device)  # a mismatch is reported once, here
        job = partial(_job, chosen.threads, chosen.run, recipe, budget, chosen.device)
        together(chosen.workers, MOST_PARAMETERS, job)
    except (ValueError, OSError) as error:
        print(f"train.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
