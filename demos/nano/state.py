"""A run on disk: one checkpoint, replaced atomically, that training goes on from."""

import os
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from losses import Grouping
from model import nano_config, new_model
from recipe import Recipe
from torch import Tensor, nn
from view import View

NAME = "checkpoint.pt"


class Average:
    """Exponential moving average of a model's state, quick at first: step n keeps (1 + n) / (10 + n)."""

    def __init__(self, model: nn.Module, keep: float) -> None:
        self.keep, self.count = keep, 0
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}

    def update(self, model: nn.Module) -> None:
        """Take in the model as it is now."""
        self.count += 1
        keep = min(self.keep, (1 + self.count) / (10 + self.count))
        now = model.state_dict()
        names = [name for name, value in self.state.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.state[n] for n in names], [now[n] for n in names], 1 - keep)


@dataclass(slots=True)
class Run:
    """All that changes while training."""

    view: View
    grouping: Grouping
    optimizer: torch.optim.Optimizer
    average: Average
    step: int = 0
    used_s: float = 0.0

    @property
    def parameters(self) -> list[Tensor]:
        """Parameters under training, the auxiliary teacher's included."""
        return [*self.view.model.parameters(), *self.grouping.parameters()]


def new_run(recipe: Recipe, device: str) -> Run:
    """A run before its first step."""
    model = new_model(nano_config(recipe.size, recipe.hidden, recipe.widths), recipe.seed).to(device)
    view, grouping = View(model), Grouping(recipe.hidden).to(device)
    everything = [*model.parameters(), *grouping.parameters()]
    groups = [
        {"params": [p for p in everything if p.ndim >= 2], "weight_decay": recipe.decay},
        {"params": [p for p in everything if p.ndim < 2], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), foreach=True)
    return Run(view, grouping, optimizer, Average(model, recipe.average))


def save(folder: Path, recipe: Recipe, run: Run) -> None:
    """Write the checkpoint beside the old one and swap them, so that a kill leaves one of the two."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "recipe": asdict(recipe),
        "model": run.view.model.state_dict(),
        "grouping": run.grouping.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "average": run.average.state,
        "average_count": run.average.count,
        "step": run.step,
        "used_s": run.used_s,
    }
    fresh = folder / (NAME + ".new")
    with fresh.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, folder / NAME)


def _read(folder: Path, device: str) -> dict[str, Any]:
    path = folder / NAME
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f"{path} is no checkpoint of a run, or a damaged one; remove it or give another folder"
        ) from error
    return content


def load(folder: Path, recipe: Recipe, device: str) -> Run | None:
    """The run of a folder, or None where it has none. Raises ValueError if it has another configuration."""
    path = folder / NAME
    if not path.exists():
        return None
    content = _read(folder, device)
    if differences := recipe.differences(content["recipe"]):
        raise ValueError(
            f"{path} was trained with another configuration: {'; '.join(differences)}; "
            "give the same options or another folder"
        )
    run = new_run(recipe, device)
    run.view.model.load_state_dict(content["model"])
    run.grouping.load_state_dict(content["grouping"])
    run.optimizer.load_state_dict(content["optimizer"])
    run.average.state, run.average.count = content["average"], content["average_count"]
    run.step, run.used_s = content["step"], content["used_s"]
    return run


def averaged(folder: Path) -> tuple[Recipe, dict[str, Tensor]]:
    """The recipe and the averaged weights of a run. Raises ValueError where the folder holds none."""
    if not (folder / NAME).exists():
        raise ValueError(f"{folder / NAME}: not found; train first")
    content = _read(folder, "cpu")
    return Recipe(**content["recipe"]), content["average"]
