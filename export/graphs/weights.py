"""Where a bundle's weights lie: a file for each stage, which graphs of other variants of the model refer to as well."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import onnx
from onnx import TensorProto

ALIGNMENT = 64  # of a tensor in a weights file, in bytes


class Place(NamedTuple):
    """Where a tensor's bytes lie: the file, beside the graph, and the offset and length in it."""

    file: str
    offset: int
    length: int


class WeightsFiles:
    """The weights files of one bundle.

    share: refer to tensors that an earlier file has, instead of writing them again. Off for a bundle of one variant:
           its files are then each by itself.
    """

    def __init__(self, root: Path, share: bool) -> None:
        self._root, self._share = root, share
        self._known: dict[bytes, Place] = {}

    def write(self, file: str, tensors: Mapping[str, bytes], *, first: bool) -> dict[str, Place]:
        """Write tensors to a file, and say where each lies.

        first: of the first variant, whose files hold all of its tensors. Of later ones only those go to the file that
               no earlier file has; it is not written if there are none.
        """
        places: dict[str, Place] = {}
        end, new = 0, []
        for name, raw in tensors.items():
            digest = hashlib.sha256(raw).digest() if self._share else b""
            if not first and digest in self._known:
                places[name] = self._known[digest]
                continue
            start = end + -end % ALIGNMENT
            end = start + len(raw)
            places[name] = Place(file, start, len(raw))
            new.append((start, raw))
            if self._share:
                self._known.setdefault(digest, places[name])
        if new:
            with (self._root / file).open("wb") as written:
                for start, raw in new:
                    written.write(b"\0" * (start - written.tell()))
                    written.write(raw)
        return places


def refer(model: onnx.ModelProto, places: Mapping[str, Place]) -> None:
    """Let the large constants of a graph lie in weights files, in place."""
    for tensor in model.graph.initializer:
        if tensor.name in places:
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            del tensor.external_data[:]
            file, offset, length = places[tensor.name]
            for key, value in {"location": file, "offset": offset, "length": length}.items():
                tensor.external_data.add(key=key, value=str(value))


def files_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """The weights files that a graph refers to, each once."""
    found = (e.value for t in model.graph.initializer for e in t.external_data if e.key == "location")
    return tuple(dict.fromkeys(found))
