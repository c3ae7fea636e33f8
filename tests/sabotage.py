"""Damage to one position of a model from a frame on: sessions around sessions, between the model and its observer."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from masklet.calibration.diagnosis.observer.inner_tensors import PROMPTED_CELLS, InnerTensors, put_out_prompted_cells
from masklet.calibration.diagnosis.observer.positions import Position
from masklet.calibration.graphs.changed_graph import open_changed_graph
from masklet.runtime.backends.ort.backend import OnnxRuntimeSession
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor, TensorSpec
from onnx import TensorProto, helper

Maps = npt.NDArray[np.float32]  # [channels, h, w]
Damage = Callable[[Maps, Maps], Maps]  # what is put out, and what was put out before the damage began


def zero(maps: Maps, before: Maps) -> Maps:
    """Nothing."""
    return np.zeros_like(maps)


def blur(maps: Maps, before: Maps) -> Maps:
    """A mean over all of the frame around each place."""
    edge = maps.shape[-1]
    return np.stack([cv2.blur(each, (edge, edge)) for each in maps])


def shuffle(maps: Maps, before: Maps) -> Maps:
    """Squares of the frame, an eighth of its edge, in another order that stays the same."""
    channels, edge = len(maps), maps.shape[-1] // 8
    squares = maps.reshape(channels, 8, edge, 8, edge).transpose(1, 3, 0, 2, 4).reshape(64, channels, edge, edge)
    order = np.random.default_rng(0).permutation(64)
    moved = squares[order].reshape(8, 8, channels, edge, edge).transpose(2, 0, 3, 1, 4)
    return np.ascontiguousarray(moved.reshape(maps.shape))


def freeze(maps: Maps, before: Maps) -> Maps:
    """What it was on the last frame before."""
    return before


DAMAGES: dict[str, Damage] = {each.__name__: each for each in (zero, blur, shuffle, freeze)}


class Sabotage:
    """A backend whose sessions are damaged at a position from the frame `since` on; call `begin` before each frame."""

    def __init__(self, position: Position, damage: Damage, since: int, threads: int | None = 1) -> None:
        self._position, self._damage, self._since, self._threads = position, damage, since, threads
        self._backend = InnerTensors(threads)
        self.frame = 0
        self._before: dict[str, Tensor] = {}

    def begin(self, frame: int) -> None:
        """Tell which frame comes."""
        self.frame = frame

    def artifact(self, bundle: Bundle, stage: StageSpec) -> onnx.ModelProto:
        return self._backend.artifact(bundle, stage)

    def open(self, bundle: Bundle, stage: StageSpec) -> Session:
        if stage.name != self._position.stage:
            return self._backend.open(bundle, stage)
        if self._position is Position.PROMPT:
            return Inside(_replaceable(self._backend, bundle, stage, self._threads), self)
        return Outside(self._backend.open(bundle, stage), self)

    def damaged(self, name: str, tensor: Tensor) -> Tensor:
        """A tensor with the damage done to it, if it has begun; of pointers nothing is left, whatever the damage."""
        if self.frame < self._since:
            self._before[name] = tensor
            return tensor
        if tensor.ndim == 2:
            return self._before[name] if self._damage is freeze else np.zeros_like(tensor)
        return _over_maps(self._damage, tensor, self._before.get(name, tensor))


class Outside(SessionAround):
    """A session whose maps, masks, memories and pointers are damaged."""

    KEPT = (PROMPTED_CELLS, "candidate_ious", "iou", "object_score")

    def __init__(self, session: Session, sabotage: Sabotage) -> None:
        super().__init__(session)
        self._sabotage = sabotage

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        outputs = super().run(feeds)
        return {n: t if n in self.KEPT else self._sabotage.damaged(n, t) for n, t in outputs.items()}


class Inside(SessionAround):
    """A mask decoder that runs twice: once for its inner cells, and once with damaged ones in their place."""

    def __init__(self, session: Session, sabotage: Sabotage) -> None:
        super().__init__(session)
        self._sabotage = sabotage

    @property
    def spec(self) -> StageSpec:
        wider = super().spec
        return StageSpec(wider.name, wider.inputs[:-2], wider.outputs)

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        shape = super().spec.inputs[-1].shape
        nothing = np.zeros((1, int(shape[1]), int(shape[2])), np.float32)
        own = super().run({**feeds, "replaced": np.zeros(1, np.float32), "cells": nothing})
        cells = self._sabotage.damaged("cells", own[PROMPTED_CELLS])
        return super().run({**feeds, "replaced": np.ones(1, np.float32), "cells": cells})


def _replaceable(backend: InnerTensors, bundle: Bundle, stage: StageSpec, threads: int | None) -> Session:
    """A mask decoder with inputs that take the place of its inner cells."""
    path = bundle.path(backend.artifact(bundle, stage))
    model = onnx.load(path, load_external_data=False)
    graph = model.graph
    wider = put_out_prompted_cells(graph, stage)
    cast = graph.node[-1]
    inner = cast.input[0]
    for node in graph.node:
        if node is not cast:
            node.input[:] = ["chosen_cells" if name == inner else name for name in node.input]
    maker = next(n for n, node in enumerate(graph.node) if inner in node.output)
    cast.input[0] = "chosen_cells"
    extra = [
        helper.make_node("Cast", ["replaced"], ["replace"], to=TensorProto.BOOL),
        helper.make_node("Where", ["replace", "cells", inner], ["chosen_cells"]),
    ]
    nodes = list(graph.node)
    nodes[maker + 1 : maker + 1] = extra
    del graph.node[:]
    graph.node.extend(nodes)
    cells = next(t for t in wider.outputs if t.name == PROMPTED_CELLS)
    inputs = (TensorSpec("replaced", (1,)), TensorSpec("cells", cells.shape))
    for t in inputs:
        graph.input.append(helper.make_tensor_value_info(t.name, TensorProto.FLOAT, list(t.shape)))
    declared = StageSpec(stage.name, (*stage.inputs, *inputs), wider.outputs)
    return OnnxRuntimeSession(declared, open_changed_graph(model, path, stage.name, threads))


def _over_maps(damage: Damage, tensor: Tensor, before: Tensor) -> Tensor:
    """Damage done to maps [1, channels, h, w], or to cells [1, h * w, channels]."""
    if tensor.ndim == 4:
        return damage(tensor[0], before[0])[None]
    edge = int(np.sqrt(tensor.shape[1]))
    maps, earlier = (np.ascontiguousarray(t[0].T.reshape(-1, edge, edge)) for t in (tensor, before))
    moved = damage(maps, earlier)
    return np.ascontiguousarray(moved.reshape(len(moved), -1).T)[None]
