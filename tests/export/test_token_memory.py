"""Memories of tokens against the formula in transformers' modules; families that have none say so."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from checkpoints import nano_config, random_model
from masklet.export.families import edgetam, sam, sam2, sam3
from masklet.export.family import ExportStage
from masklet.export.references import sam2_reference
from masklet.runtime.errors import ExportError
from sam3_checkpoints import random_sam3, tracker_config

EXACT = 1e-5  # relative, FP32

MODELS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "sam2.1": lambda: (sam2.FAMILY, random_model(nano_config())),
    "sam2.0, 256 px": lambda: (sam2.FAMILY, random_model(nano_config(version="2.0", side=256))),
    "2 heads": lambda: (sam2.FAMILY, random_model(nano_config(memory_attention_num_attention_heads=2))),
    "sam3's tracker": lambda: (sam3.FAMILY, random_sam3(tracker_config())),
}


def relative(got: torch.Tensor, wanted: Any) -> float:
    return float(np.linalg.norm(got.numpy().astype(np.float64) - wanted) / np.linalg.norm(wanted.astype(np.float64)))


def attention(family: Any, model: Any, token_memory: bool = True) -> ExportStage:
    found: ExportStage = next(s for s in family.stages(model, token_memory) if s.spec.name == "memory_attention")
    return found


def run(stage: ExportStage, feeds: dict[str, Any]) -> torch.Tensor:
    with torch.inference_mode():
        found: torch.Tensor = stage.module.eval()(**{name: torch.from_numpy(feed) for name, feed in feeds.items()})
    return found


@pytest.mark.parametrize("name", list(MODELS))
def test_blocks_of_any_size_and_padding_are_as_the_formula_has_them(name: str) -> None:
    family, model = MODELS[name]()
    stage = attention(family, model)
    for case in stage.cases:
        feeds = stage.feeds(case, seed=1)
        assert relative(run(stage, feeds), stage.reference(feeds)["image_embed"]) < EXACT, case.name


def test_every_cell_on_its_own_is_the_models_own_memory() -> None:
    """Against transformers' memory attention as it is."""
    model = random_model(nano_config())
    stage = attention(sam2.FAMILY, model)
    feeds = stage.feeds(stage.cases[-1], seed=2)
    whole = sam2_reference.memory_attention(model, model.vision_encoder.neck)
    wanted = whole({name: feed for name, feed in feeds.items() if name != "memory_place"})["image_embed"]
    assert relative(run(stage, feeds), wanted) < EXACT


def test_padding_weighs_nothing() -> None:
    stage = attention(sam2.FAMILY, random_model(nano_config()))
    feeds = stage.feeds(stage.cases[0], seed=3)
    padding = int(stage.draws["memory_place"](np.random.default_rng(0), (10000,)).max())
    more = {
        "memory": np.concatenate([feeds["memory"], 9 * np.ones_like(feeds["memory"][:, :, :5])], axis=2),
        "memory_place": np.pad(feeds["memory_place"], ((0, 0), (0, 0), (0, 5)), constant_values=padding),
    }
    assert relative(run(stage, {**feeds, **more}), run(stage, feeds).numpy()) < EXACT


@pytest.mark.parametrize(
    ("family", "why"), [(edgetam, "a few hundred latents of each frame already"), (sam, "has no memory")]
)
def test_families_without_such_memories_say_so(family: Any, why: str) -> None:
    with pytest.raises(ExportError, match=why):
        family.FAMILY.spec(None, token_memory=True)
