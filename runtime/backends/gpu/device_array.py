"""An array on a GPU that behaves like a numpy array: stages and the memory bank pass it on without copies to the host.

It implements numpy's protocols for such arrays (NEP 13, 18 and 35). Operations on whole rows of the first axis stay on
the device; everything else works on a copy on the host. So any numpy code is correct, and the usual code is fast.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, SupportsIndex

import numpy as np
from masklet.runtime.bundle.spec import Tensor
from numpy.lib.mixins import NDArrayOperatorsMixin


class ArrayMemory(Protocol):
    """The memory of arrays: `DeviceMemory`."""

    def empty(self, shape: Sequence[int], dtype: np.dtype[Any]) -> "DeviceArray": ...

    def upload(self, array: Tensor) -> "DeviceArray": ...

    def write(self, target: "DeviceArray", source: "Tensor | DeviceArray") -> None: ...

    def download(self, *arrays: "DeviceArray") -> list[Tensor]: ...

    def synchronize(self) -> None: ...


class DeviceArray(NDArrayOperatorsMixin):
    """An array in C order.

    shape, dtype: as in numpy.
    address:      of the first value.
    owner:        a reference that prevents the memory from being reused.
    """

    def __init__(
        self, memory: ArrayMemory, shape: tuple[int, ...], dtype: np.dtype[Any], address: int, owner: object
    ) -> None:
        self.memory, self.shape, self.dtype, self.address = memory, shape, dtype, address
        self._owner = owner

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator["DeviceArray"]:
        return (self._rows(row, row + 1, keep=False) for row in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        """Rows of the first axis, or a new first axis, as views; anything else is a copy on the host."""
        if index is None:
            return self._view((1, *self.shape), self.address)
        if isinstance(index, SupportsIndex) and not isinstance(index, np.ndarray):
            row = range(len(self))[index]
            return self._rows(row, row + 1, keep=False)
        if isinstance(index, slice):
            rows = range(len(self))[index]
            if rows.step == 1:
                return self._rows(rows.start, max(rows.start, rows.stop), keep=True)
        return np.asarray(self)[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        """Set a row, or consecutive rows, of the first axis from an array of their shape."""
        target = self[index]
        if not isinstance(target, DeviceArray) or np.shape(value) != target.shape:
            raise IndexError(f"rows {index!r} of {list(self.shape)} on the device cannot be set from {np.shape(value)}")
        if target.size:
            self.memory.write(target, value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Tensor:
        if copy is False:
            raise ValueError("an array on the device cannot be accessed on the host without a copy")
        values = self.memory.download(self)[0]
        return values if dtype is None else values.astype(dtype, copy=False)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if _is_output(options):
            return NotImplemented
        return getattr(ufunc, method)(*map(_on_host, inputs), **options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Sequence[Any], options: dict[str, Any]
    ) -> Any:
        if _is_output(options):
            return NotImplemented
        kept = _ON_DEVICE.get(function)
        result = NotImplemented if kept is None else kept(*args, **options)
        if result is not NotImplemented:
            return result
        return function(*map(_on_host, args), **{name: _on_host(value) for name, value in options.items()})

    def _rows(self, start: int, stop: int, *, keep: bool) -> "DeviceArray":
        row_bytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        shape = (stop - start, *self.shape[1:]) if keep else self.shape[1:]
        return self._view(shape, self.address + start * row_bytes)

    def _view(self, shape: tuple[int, ...], address: int) -> "DeviceArray":
        return DeviceArray(self.memory, shape, self.dtype, address, self._owner)


def _is_output(options: dict[str, Any]) -> bool:
    """Whether numpy would write to an array on the device, which is not possible."""
    out = options.get("out")
    return any(isinstance(array, DeviceArray) for array in (out if isinstance(out, tuple) else (out,)))


def _on_host(value: Any) -> Any:
    if isinstance(value, DeviceArray):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_on_host, value))
    return value


def _empty_like(prototype: DeviceArray, dtype: Any = None, *, shape: Any = None, **others: Any) -> Any:
    sizes = prototype.shape if shape is None else tuple(shape)
    return prototype.memory.empty(sizes, prototype.dtype if dtype is None else np.dtype(dtype))


def _stack(arrays: Sequence[Any], axis: int = 0, **others: Any) -> Any:
    if axis != 0 or others or not _alike(arrays):
        return NotImplemented
    stacked = arrays[0].memory.empty((len(arrays), *arrays[0].shape), arrays[0].dtype)
    for row, array in enumerate(arrays):
        stacked[row] = array
    return stacked


def _concatenate(arrays: Sequence[Any], axis: int = 0, **others: Any) -> Any:
    if axis != 0 or others or not _alike(arrays):
        return NotImplemented
    joined = arrays[0].memory.empty((sum(map(len, arrays)), *arrays[0].shape[1:]), arrays[0].dtype)
    start = 0
    for array in arrays:
        joined[start : start + len(array)] = array
        start += len(array)
    return joined


def _alike(arrays: Sequence[Any]) -> bool:
    """Whether all arrays are on the device and of one type."""
    return all(isinstance(array, DeviceArray) and array.dtype == arrays[0].dtype for array in arrays)


def _repeat(array: DeviceArray, repeats: Any, axis: int | None = None) -> Any:
    if axis != 0 or not isinstance(repeats, int):
        return NotImplemented
    return array if repeats == 1 else _concatenate([row for row in _rows_of(array) for _ in range(repeats)])


def _rows_of(array: DeviceArray) -> Iterator[DeviceArray]:
    return (array[row : row + 1] for row in range(len(array)))


_ON_DEVICE: dict[Callable[..., Any], Callable[..., Any]] = {
    np.empty_like: _empty_like,
    np.stack: _stack,
    np.concatenate: _concatenate,
    np.repeat: _repeat,
    np.shape: lambda array: array.shape,
}
