"""Encodes plain data with arrays as bytes (MessagePack), and decodes it."""

from typing import Any, TypeVar

import msgspec
import numpy as np

T = TypeVar("T")


class _Array(msgspec.Struct, frozen=True):
    dtype: str
    shape: list[int]
    data: bytes


def pack(value: Any) -> bytes:
    """Encode structs, dataclasses, lists and the like, with arrays anywhere in them."""
    return msgspec.msgpack.encode(value, enc_hook=_plain)


def unpack(raw: bytes, kind: type[T]) -> T:
    """Decode the bytes of `pack` for a value of this type. Raises msgspec's DecodeError and ValidationError."""
    return msgspec.msgpack.decode(raw, type=kind, dec_hook=_array)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _Array(value.dtype.str, list(value.shape), value.tobytes())
    raise NotImplementedError(type(value))


def _array(kind: type, value: Any) -> Any:
    array = msgspec.convert(value, _Array)
    return np.frombuffer(bytearray(array.data), np.dtype(array.dtype)).reshape(array.shape)
