"""A world whose detector and tracker say what a script tells them, behind the stages of SAM 3.

Actors are blobs that move. At each time the script says which of them the detector finds, with which score, and what
the tracker makes of each; so every rule between the two can be met, which random weights never do. The same script runs
behind our sessions (`sessions`) and behind transformers' video model (reference_concepts.py).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from masklet.runtime.backends.session import Feeds
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import (
    ConceptPolicy,
    MemorySpec,
    ModelSpec,
    Preprocess,
    StageSpec,
    Tensor,
    TensorSpec,
)
from masklet.runtime.results import Frame
from tokenizers import Tokenizer, models, pre_tokenizers, processors

GRID, WIDTH, TOKENS, QUERIES = 8, 4, 6, 12
LOW, SIDE = 4 * GRID, 14 * GRID
WORDS = ("car", "dog", "cat", "visual")
HW = (48, 64)
ABSENT = -7.0  # logits where there is nothing


def disc(x: float, y: float, radius: float, edge: float = 6.0) -> Tensor:
    """Logits [LOW, LOW] of a disc: `edge` at its center, 0 at its rim, which lies off the grid: none is 0 exactly."""
    rows, columns = np.mgrid[:LOW, :LOW].astype(np.float32) + np.float32(0.5)
    logits = edge * (1 - ((columns - x - 0.0137) ** 2 + (rows - y + 0.0071) ** 2) / radius**2)
    disc: Tensor = np.clip(logits, -12, 12).astype(np.float32)
    return disc


def nothing() -> Tensor:
    return np.full((LOW, LOW), ABSENT, np.float32)


@dataclass
class Detection:
    """An instance that the detector finds. actor: whom the tracker follows from it; the nearest one where None."""

    score: float
    logits: Tensor
    actor: int | None = None


@dataclass
class Script:
    """What is found and tracked at each time.

    presence: of a phrase where anything of it is found; 0.05 elsewhere.
    found:    (time, phrase) -> detections.
    tracks:   (time, actor) -> what the tracker makes of the actor: logits [LOW, LOW] and the logit of being visible.
    """

    length: int
    phrases: Sequence[str] = ("car",)
    presence: float = 0.98
    found: dict[tuple[int, str], list[Detection]] = field(default_factory=dict)
    tracks: dict[tuple[int, int], tuple[Tensor, float]] = field(default_factory=dict)

    def see(
        self, time: int, logits: Tensor, score: float = 0.9, phrase: str | None = None, actor: int | None = None
    ) -> None:
        """Let the detector find an instance."""
        self.found.setdefault((time, phrase or self.phrases[0]), []).append(Detection(score, logits, actor))

    def track(self, time: int, actor: int, logits: Tensor | None = None, visible: float | None = None) -> None:
        """Say what the tracker makes of an actor; nothing where there are no logits."""
        shown = nothing() if logits is None else logits
        self.tracks[time, actor] = shown, (5.0 if logits is not None else -5.0) if visible is None else visible

    def tracked(self, time: int, actor: int) -> tuple[Tensor, float]:
        return self.tracks.get((time, actor), (nothing(), -5.0))

    def actor_of(self, time: int, mask: Tensor) -> int:
        """The actor at a time of a detection's mask [LOW, LOW] bool, or at a point; 0 is a stranger."""
        seen = [one for (t, _), found in self.found.items() if t == time for one in found]
        nearest = max(seen, key=lambda one: _iou(mask, one.logits > 0), default=None)
        if nearest is not None and nearest.actor is not None and _iou(mask, nearest.logits > 0) > 0.5:
            return nearest.actor
        there = [(actor, logits > 0) for (t, actor), (logits, _) in self.tracks.items() if t == time]
        overlap = {actor: _iou(mask, other) for actor, other in there}
        best = max(overlap, key=lambda actor: overlap[actor], default=0)
        return best if overlap.get(best, 0) > 0 else 0

    def frames(self) -> list[Frame]:
        """Frames whose every pixel is their time."""
        return [Frame(t, t / 30, np.full((*HW, 3), t, np.uint8)) for t in range(self.length)]


def _iou(a: Tensor, b: Tensor) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


class ScriptedSession:
    """One stage, played by a function."""

    def __init__(self, spec: StageSpec, play: Callable[[Feeds], tuple[Tensor, ...]], calls: Counter[str]) -> None:
        self.spec, self._play, self._calls = spec, play, calls

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        sizes = self.spec.check(feeds)
        self._calls[self.spec.name] += 1
        outputs = dict(zip((t.name for t in self.spec.outputs), self._play(feeds), strict=True))
        for tensor in self.spec.outputs:
            assert outputs[tensor.name].shape == tensor.sized(sizes), (self.spec.name, tensor.name)
        return {name: out.astype(np.float32) for name, out in outputs.items()}

    def close(self) -> None:
        """Nothing is held."""


def _tensors(**shapes: tuple[int | str, ...]) -> tuple[TensorSpec, ...]:
    kinds = {"image": "uint8", "mask": "uint8", "text_ids": "int64", "box_labels": "int64"}
    kinds |= {"memory_time": "int64", "point_labels": "int64"}
    return tuple(TensorSpec(name, shape, kinds.get(name, "float32")) for name, shape in shapes.items())


_FPN = {
    "det_fpn0": (1, WIDTH, LOW, LOW),
    "det_fpn1": (1, WIDTH, 2 * GRID, 2 * GRID),
    "det_fpn2": (1, WIDTH, GRID, GRID),
}
_FEATS = {"feat_s0": (1, 1, LOW, LOW), "feat_s1": (1, 1, 2 * GRID, 2 * GRID), "vision_feat": (1, WIDTH, GRID, GRID)}
Declared = dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]  # of each stage: what it takes, what it gives


def _detector_stages() -> Declared:
    c, p = WIDTH, "phrases"
    coarse, encoded = {"det_fpn2": _FPN["det_fpn2"]}, (p, GRID * GRID, c)
    fine = {name: _FPN[name] for name in ("det_fpn0", "det_fpn1")}
    prompt = {"prompt": (p, "tokens", c), "prompt_valid": (p, "tokens")}
    boxes = {"boxes": (p, "exemplars", 4), "box_labels": (p, "exemplars"), "box_valid": (p, "exemplars")}
    return {
        "text_encoder": ({"text_ids": (p, TOKENS)}, {"text_feat": (p, TOKENS, c)}),
        "geometry_encoder": (
            {**coarse, **boxes},
            {"exemplar_feat": (p, "exemplars", c), "geometry_cls": (p, 1, c)},
        ),
        "detector": (
            {**coarse, **prompt},
            {
                "detection_logits": (p, QUERIES),
                "detection_boxes": (p, QUERIES, 4),
                "presence_logit": (p, 1),
                "queries": (p, QUERIES, c),
                "encoded": encoded,
            },
        ),
        "mask_head": (
            {**fine, "encoded": encoded, **prompt, "selected_queries": (p, "selected", c)},
            {"instance_masks": (p, "selected", LOW, LOW), "semantic_mask": (p, 1, LOW, LOW)},
        ),
    }


def _tracker_stages() -> Declared:
    g, c, o = GRID, WIDTH, "objects"
    low, features = (o, 1, LOW, LOW), {"vision_feat": _FEATS["vision_feat"]}
    fine = {name: _FEATS[name] for name in ("feat_s0", "feat_s1")}
    points = {"point_coords": (o, "points", 2), "point_labels": (o, "points")}
    flags = dict.fromkeys(("has_mask", "multimask", "memoryless"), (o,))
    memories = {"memory": (o, "memories", 1, 1), "memory_time": (o, "memories")}
    pointers = {"pointers": (o, "kept", c), "pointer_time": (o, "kept")}
    return {
        "memory_attention": ({**features, **memories, **pointers}, {"image_embed": (o, c, g, g)}),
        "mask_decoder": (
            {"image_embed": (o, c, g, g), **fine, **points, "mask_prompt": low, **flags},
            {"low_res_mask": low, "iou": (o, 1), "object_score": (o, 1), "pointer": (o, c)},
        ),
        "memory_encoder": (
            {**features, "low_res_mask": low, "object_score": (o, 1), "binarize": (o,)},
            {"new_memory": (o, 1, 1)},
        ),
        "mask_prompt_encoder": ({"mask": (o, 16 * g, 16 * g)}, {"mask_prompt": low, "low_res_mask": low}),
    }


def _stages() -> dict[str, StageSpec]:
    encoder: Declared = {"image_encoder": ({"image": (1, SIDE, SIDE, 3)}, {**_FPN, **_FEATS})}
    declared = {**encoder, **_detector_stages(), **_tracker_stages()}
    return {name: StageSpec(name, _tensors(**given), _tensors(**out)) for name, (given, out) in declared.items()}


MODEL = ModelSpec(
    "sam3",
    "scripted",
    "video",
    Preprocess(SIDE, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    tuple(_stages().values()),
    memory=MemorySpec(6, 4, 16),
    concepts=ConceptPolicy(),
)


class Stages:
    """The functions behind the stages of a script."""

    def __init__(self, script: Script) -> None:
        self._script = script

    def image_encoder(self, feeds: Feeds) -> tuple[Tensor, ...]:
        time = float(feeds["image"][0, 0, 0, 0])
        return tuple(np.full(t.sized({}), time, np.float32) for t in _stages()["image_encoder"].outputs)

    def text_encoder(self, feeds: Feeds) -> tuple[Tensor, ...]:
        return (np.repeat(feeds["text_ids"][:, 1:2, None], TOKENS, 1).repeat(WIDTH, 2),)

    def geometry_encoder(self, feeds: Feeds) -> tuple[Tensor, ...]:
        count, exemplars = feeds["box_valid"].shape
        return np.zeros((count, exemplars, WIDTH)), np.zeros((count, 1, WIDTH))

    def detector(self, feeds: Feeds) -> tuple[Tensor, ...]:
        time = int(feeds["det_fpn2"].flat[0])
        words = feeds["prompt"][:, 0, 0].astype(int)
        count = len(words)
        scores = np.full((count, QUERIES), 0.01)
        queries = np.zeros((count, QUERIES, WIDTH))
        for row, word in enumerate(words):
            for query, one in enumerate(self._script.found.get((time, WORDS[word]), [])):
                scores[row, query] = one.score
            queries[row, :, 0], queries[row, :, 1], queries[row, :, 2] = np.arange(QUERIES), word, time
        presence = np.array([self.presence(time, WORDS[word]) for word in words])
        share = np.clip(scores / presence[:, None], 1e-6, 1 - 1e-6)
        boxes = np.tile([0.1, 0.2, 0.5, 0.6], (count, QUERIES, 1))
        encoded = np.zeros((count, GRID * GRID, WIDTH))
        return logit(share), boxes, logit(presence)[:, None], queries, encoded

    def presence(self, time: int, phrase: str) -> float:
        return self._script.presence if self._script.found.get((time, phrase)) else 0.05

    def mask_head(self, feeds: Feeds) -> tuple[Tensor, ...]:
        chosen = feeds["selected_queries"][..., :3].astype(int)
        masks = np.full((*chosen.shape[:2], LOW, LOW), ABSENT)
        for row, queries in enumerate(chosen):
            for place, (query, word, time) in enumerate(queries):
                masks[row, place] = self._script.found[time, WORDS[word]][query].logits
        return masks, masks.max(axis=1, keepdims=True)

    def memory_attention(self, feeds: Feeds) -> tuple[Tensor, ...]:
        latest = feeds["pointer_time"].argmin(axis=1)
        embed = np.zeros((len(latest), WIDTH, GRID, GRID))
        embed[:, 0] = feeds["vision_feat"].flat[0]
        embed[:, 1] = feeds["pointers"][np.arange(len(latest)), latest, 0][:, None, None]
        return (embed,)

    def mask_decoder(self, feeds: Feeds) -> tuple[Tensor, ...]:
        masks, scores, pointers = [], [], []
        for row, embed in enumerate(feeds["image_embed"]):
            time = int(embed[0, 0, 0])
            clicked = feeds["point_labels"][row] >= 0
            if clicked.any():
                x, y = (feeds["point_coords"][row][clicked][0] * LOW / SIDE).astype(int)
                hit = np.zeros((LOW, LOW), bool)
                hit[y, x] = True
                actor = self._script.actor_of(time, hit)
            elif feeds["has_mask"][row]:
                actor = self._script.actor_of(time, feeds["mask_prompt"][row, 0] > 0)
            else:
                actor = int(embed[1, 0, 0])
            logits, visible = self._script.tracked(time, actor)
            masks.append(logits[None])
            scores.append([visible])
            pointers.append([actor, feeds["has_mask"][row], 0, 0])
        return np.stack(masks), np.ones((len(masks), 1)), np.array(scores), np.array(pointers)

    def memory_encoder(self, feeds: Feeds) -> tuple[Tensor, ...]:
        return (feeds["object_score"][:, :, None],)

    def mask_prompt_encoder(self, feeds: Feeds) -> tuple[Tensor, ...]:
        small = np.stack([cv2.resize(mask, (LOW, LOW), interpolation=cv2.INTER_AREA) for mask in feeds["mask"]])
        logits = np.where(small[:, None] > 0, 10.0, -10.0)
        return logits, logits


def sessions(script: Script, folder: Path, model: ModelSpec = MODEL) -> tuple[Sessions, Counter[str]]:
    """Sessions that play a script, and how often each stage was run. folder: for the tokenizer's file."""
    calls: Counter[str] = Counter()
    stages = Stages(script)
    played = {spec.name: ScriptedSession(spec, getattr(stages, spec.name), calls) for spec in model.stages}
    tokenizer_file(folder / "tokenizer.json")
    return Sessions(model, played, lambda name: folder / name), calls


def tokenizer_file(path: Path) -> None:
    """A tokenizer of whole words: WORDS, and a start and an end."""
    vocabulary = {word: number for number, word in enumerate((*WORDS, "<start>", "<end>", "<unknown>"))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    marks = [(mark, vocabulary[mark]) for mark in ("<start>", "<end>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<start> $A <end>", special_tokens=marks)
    tokenizer.enable_padding(length=TOKENS, pad_id=vocabulary["<end>"])
    tokenizer.save(str(path))


def logit(share: Any) -> Tensor:
    return np.asarray(np.log(share / (1 - share)))
