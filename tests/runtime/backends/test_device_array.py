"""Arrays on the device pass for numpy's: the same values, and what moves whole rows crosses nothing."""

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_cuda import FACTS, FakeCuda
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from masklet.runtime.backends.gpu.device_array import DeviceArray
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.tracking.frame_slots import FrameSlots

VALUES = np.arange(24, dtype=np.float32).reshape(4, 3, 2)


def on_device(values: Any) -> tuple[FakeCuda, DeviceArray]:
    cuda = FakeCuda()
    return cuda, DeviceMemory(cuda).upload(np.asarray(values))


@given(arrays.arrays(np.float32, arrays.array_shapes(min_dims=1, max_dims=4), elements=st.floats(-9, 9, width=32)))
def test_a_round_trip_changes_nothing(values: Any) -> None:
    _, array = on_device(values)
    for name in ("shape", "dtype", "ndim", "size", "nbytes"):
        assert getattr(array, name) == getattr(values, name)
    assert len(array) == len(values)
    np.testing.assert_array_equal(np.asarray(array), values)


@pytest.mark.parametrize("index", [0, -1, 3, slice(1, 3), slice(None, 2), slice(2, 2), slice(3, 1), None])
def test_rows_and_new_axes_are_views(index: Any) -> None:
    cuda, array = on_device(VALUES)
    before = cuda.downloaded
    taken = array[index]
    assert isinstance(taken, DeviceArray)
    assert cuda.downloaded == before
    np.testing.assert_array_equal(np.asarray(taken), VALUES[index])


@pytest.mark.parametrize("index", [(slice(None), 0), slice(None, None, 2), np.array([2, 0]), (..., 1)])
def test_other_indices_come_to_the_host(index: Any) -> None:
    _, array = on_device(VALUES)
    taken = array[index]
    assert isinstance(taken, np.ndarray)
    np.testing.assert_array_equal(taken, VALUES[index])


@pytest.mark.parametrize("row", [4, -5])
def test_a_row_that_is_not_there_is_an_error(row: int) -> None:
    _, array = on_device(VALUES)
    with pytest.raises(IndexError):
        array[row]


def test_rows_are_set_from_the_device_and_from_the_host() -> None:
    cuda, array = on_device(VALUES)
    crossed = cuda.uploaded
    array[1] = array[3]
    assert cuda.uploaded == crossed
    array[0:2] = np.ones((2, 3, 2), np.float32)
    want = VALUES.copy()
    want[1] = want[3]
    want[0:2] = 1
    np.testing.assert_array_equal(np.asarray(array), want)
    with pytest.raises(IndexError, match="cannot be set"):
        array[0] = np.ones(5, np.float32)


def test_stacking_joining_and_repeating_stay_on_the_device() -> None:
    cuda, array = on_device(VALUES)
    cuda.downloaded = cuda.uploaded = 0
    results = np.stack([array, array]), np.concatenate([array, array]), np.repeat(array, 2, axis=0)
    assert cuda.downloaded == cuda.uploaded == 0
    wanted = np.stack([VALUES, VALUES]), np.concatenate([VALUES, VALUES]), np.repeat(VALUES, 2, axis=0)
    for got, want in zip(results, wanted, strict=True):
        assert isinstance(got, DeviceArray)
        np.testing.assert_array_equal(np.asarray(got), want)


def test_any_other_numpy_code_is_right() -> None:
    _, array = on_device(VALUES)
    np.testing.assert_array_equal(np.clip(array, 2, 5), np.clip(VALUES, 2, 5))
    np.testing.assert_array_equal(np.exp(-array), np.exp(-VALUES))
    np.testing.assert_array_equal(np.add(array, 1), VALUES + 1)
    np.testing.assert_array_equal(np.stack([array, VALUES]), np.stack([VALUES, VALUES]))
    np.testing.assert_array_equal(list(map(np.asarray, array)), VALUES)


def test_types_are_numpys() -> None:
    """What is set, stacked or joined of another type is converted, not taken byte for byte."""
    _, array = on_device(VALUES)
    halves = array.memory.upload(VALUES.astype(np.float16) + 1)
    mixed: Any = ([array, halves], {}), ([halves, array], {}), ([array, array], {"dtype": np.float64})
    functions: tuple[Callable[..., Any], ...] = np.stack, np.concatenate
    for function in functions:
        for joined, options in mixed:
            got, want = function(joined, **options), function(list(map(np.asarray, joined)), **options)
            assert got.dtype == want.dtype
            np.testing.assert_array_equal(np.asarray(got), want)
    array[1] = halves[2]
    np.testing.assert_array_equal(np.asarray(array)[1], VALUES[2] + 1)
    np.testing.assert_array_equal(np.asarray(array)[2], VALUES[2])


def test_numpy_writes_to_the_host_only() -> None:
    array: Any = on_device(VALUES)[1]
    host = np.empty((8, 3, 2), np.float32)
    assert np.concatenate([array, array], out=host) is host
    np.testing.assert_array_equal(host, np.concatenate([VALUES, VALUES]))
    with pytest.raises(TypeError):
        np.concatenate([array[:2], array[2:]], out=array)
    with pytest.raises(TypeError):
        np.add(array, 1, out=array)


def test_memory_that_is_let_go_while_the_pool_is_at_work_is_free() -> None:
    """As garbage collection does, which comes at any time."""
    memory = DeviceMemory(FakeCuda())
    held = [memory.empty((100,), np.dtype(np.float32))]
    address = held[0].address

    def let_go() -> None:
        with memory._lock:
            held.clear()

    thread = threading.Thread(target=let_go, daemon=True)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert memory.empty((100,), np.dtype(np.float32)).address == address


def test_trimming_gives_back_what_nobody_refers_to() -> None:
    cuda = FakeCuda(replace(FACTS, integrated=True))
    memory = DeviceMemory(cuda)
    held, staged = memory.empty((100,), np.dtype(np.float32)), memory.upload(np.ones(10))
    memory.empty((500,), np.dtype(np.float32))  # nobody keeps hold of it
    memory.trim()
    assert list(cuda.blocks) == [held.address]
    assert memory.device_bytes == cuda.blocks[held.address].nbytes
    memory.upload(np.zeros(10))
    np.testing.assert_array_equal(np.asarray(staged), np.ones(10))
    memory.close()
    assert not cuda.blocks


def test_memory_is_used_again_once_nobody_refers_to_it() -> None:
    memory = DeviceMemory(FakeCuda())
    first = memory.empty((100,), np.dtype(np.float32))
    address, view = first.address, first[10:20]
    del first
    gc.collect()
    assert memory.empty((100,), np.dtype(np.float32)).address != address  # the view still looks at it
    del view
    gc.collect()
    assert memory.empty((100,), np.dtype(np.float32)).address == address


def test_staged_memory_waits_for_the_stream() -> None:
    cuda = FakeCuda()
    memory = DeviceMemory(cuda)
    for _ in range(3):
        memory.upload(np.zeros(10, np.float32))
    assert len(cuda.pinned) == 3
    memory.synchronize()
    memory.upload(np.zeros(10, np.float32))
    assert len(cuda.pinned) == 3


def test_closing_gives_everything_back() -> None:
    cuda = FakeCuda()
    memory = DeviceMemory(cuda)
    array = memory.upload(VALUES)
    memory.close()
    memory.close()
    assert not cuda.blocks
    assert not cuda.pinned
    del array


def test_slots_move_to_where_their_values_are() -> None:
    """A restored bank lies on the host; the first value that a stage leaves on the device takes it there."""
    cuda = FakeCuda()
    memory = DeviceMemory(cuda)
    host, device = (FrameSlots(4, (2,), "float32") for _ in range(2))
    rng = np.random.default_rng(0)
    values = rng.standard_normal((9, 2), np.float32)
    for time in range(9):
        on_gpu: Any = values[time] if time < 4 else memory.upload(values[time])
        for each, value in ((host, values[time]), (device, on_gpu)):
            each.begin(time, {0, *range(time - 3, time)})
            each.put(time, value)
            each.begin(time + 1, {0, *range(time - 2, time + 1)})
        if time < 4:
            continue
        for attended in ({t: t for t in range(9)}, {0: 0, time: time}):  # all that is kept, and a part of it
            (want, kept), (got, same) = (each.attended(attended) for each in (host, device))
            assert isinstance(got, DeviceArray)
            assert kept == same
            np.testing.assert_array_equal(np.asarray(got), want)
            np.testing.assert_array_equal(want, values[kept])
    saved = device.snapshot()
    assert isinstance(saved.values, np.ndarray)
    np.testing.assert_array_equal(saved.values, host.snapshot().values)
