"""Weights that several variants of a model share: a graph refers to whichever file has a constant already."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
from masklet.runtime.bundle.graph_files import WeightsLayout, write_weights
from onnx import TensorProto

Place = dict[str, str]  # of a constant, in the words of ONNX's external data


class SharedWeights:
    """The weights files of one bundle, in which later variants find the constants of earlier ones."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[bytes, Place] = {}

    def write(self, stem: str, constants: Mapping[str, bytes], *, first: bool) -> dict[str, Place]:
        """Write the constants of a stage, and say where each lies, by name.

        stem:  of the file's name.
        first: of the first variant, whose files have all of its constants. Of later ones only those are written that
               no file has yet; no file if there are none.
        """
        layout, places, new = WeightsLayout(stem), {}, []
        for name, raw in constants.items():
            digest = hashlib.sha256(raw).digest()
            if first or digest not in self._known:
                places[name] = layout.place(len(raw))
                self._known.setdefault(digest, places[name])
                new.append(raw)
            else:
                places[name] = self._known[digest]
        if new:
            write_weights(self._root, stem, new)
        return places


def refer(model: onnx.ModelProto, places: Mapping[str, Place]) -> tuple[str, ...]:
    """Let the large constants of a graph lie in weights files, in place. Returns those files, each once."""
    files: dict[str, None] = {}
    for tensor in model.graph.initializer:
        if tensor.name in places:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            del tensor.external_data[:]
            for key, value in places[tensor.name].items():
                tensor.external_data.add(key=key, value=value)
            files[places[tensor.name]["location"]] = None
    return tuple(files)
