"""The memory bank against the reference's rules, written down with unbounded dictionaries (sam2_base.py 497-645)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.bundle import bank_bytes
from masklet.runtime.errors import PromptError
from masklet.runtime.memory import MemoryBank
from masklet.runtime.spec import MemoryPolicy, ModelSpec, Preprocess, StageSpec, TensorSpec

TOKENS, CHANNELS, POINTER = 4, 2, 3


def model(policy: MemoryPolicy) -> ModelSpec:
    attention = StageSpec(
        "memory_attention",
        (
            TensorSpec("memory", ("objects", "memories", TOKENS, CHANNELS)),
            TensorSpec("memory_time", ("objects", "memories"), "int64"),
            TensorSpec("pointers", ("objects", "pointers", POINTER)),
            TensorSpec("pointer_time", ("objects", "pointers")),
        ),
        (TensorSpec("image_embed", ("objects", 1)),),
    )
    half = (0.5, 0.5, 0.5)
    return ModelSpec("toy", "one", "video", Preprocess(8, half, half), (attention,), memory=policy)


class Reference:
    """What Meta's code keeps of one object: every frame, for ever."""

    def __init__(self, policy: MemoryPolicy) -> None:
        self.policy = policy
        self.cond: set[int] = set()
        self.non_cond: set[int] = set()

    def keep(self, time: int, prompted: bool) -> None:
        (self.cond if prompted else self.non_cond).add(time)
        (self.non_cond if prompted else self.cond).discard(time)

    def forget_recent(self, time: int) -> None:
        self.non_cond -= set(range(time - self.policy.recent_frames - 1, time + self.policy.recent_frames + 2))

    def attended(self, time: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """(time, row of the temporal table) of each memory, (time, distance) of each pointer."""
        past = sorted((t for t in self.cond if t < time), key=lambda t: time - t)
        selected, rest = past[: self.policy.prompted_frames], past[self.policy.prompted_frames :]
        recent = self.non_cond | set(rest)
        window = self.policy.recent_frames
        memories = {(t, window) for t in selected}
        memories |= {(time - r, r - 1) for r in range(1, window + 1) if time - r in recent}
        pointers = {(t, time - t) for t in selected}
        pointers |= {(time - d, d) for d in range(1, self.policy.pointers) if time - d in recent}
        return memories, pointers


policies = st.builds(MemoryPolicy, st.integers(1, 6), st.integers(1, 3), st.integers(2, 9))
# of each frame: is it prompted, is it corrected afterwards, are recent memories let go around a prompt
frames = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40)


@settings(max_examples=150, deadline=None)
@given(policy=policies, frames=frames, pin=st.booleans())
def test_the_bank_attends_to_what_the_reference_attends_to(
    policy: MemoryPolicy, frames: list[tuple[bool, bool, bool]], pin: bool
) -> None:
    bank, reference = MemoryBank(model(policy)), Reference(policy)

    def keep(time: int, prompted: bool) -> None:
        bank.keep(
            1,
            time,
            prompted,
            np.full((TOKENS, CHANNELS), time, np.float32),
            np.full(POINTER, time, np.float32),
        )
        reference.keep(time, prompted)

    def compare(time: int) -> None:
        feeds = bank.feeds([1], time)
        memories, pointers = reference.attended(time)
        kept = feeds["memory"][0, :, 0, 0].astype(int).tolist()
        assert set(zip(kept, feeds["memory_time"][0].tolist(), strict=True)) == memories
        assert len(kept) == len(memories)
        distances = np.rint(feeds["pointer_time"][0] * (policy.pointers - 1)).astype(int).tolist()
        assert set(zip(feeds["pointers"][0, :, 0].astype(int).tolist(), distances, strict=True)) == pointers

    keep(0, True)
    for time, (prompted, corrected, forget) in enumerate(frames, start=1):
        compare(time)
        if prompted and forget:
            bank.forget_recent(1, time)
            reference.forget_recent(time)
        keep(time, prompted)
        if corrected:
            compare(time)
            keep(time, pin or prompted)


def test_objects_that_keep_equally_much_share_a_batch() -> None:
    bank = MemoryBank(model(MemoryPolicy(recent_frames=2, prompted_frames=2, pointers=3)))
    memory, pointer = np.zeros((TOKENS, CHANNELS), np.float32), np.zeros(POINTER, np.float32)
    for object_id in (7, 8, 9):
        bank.keep(object_id, 0, True, memory, pointer)
    bank.keep(8, 1, True, memory, pointer)
    for object_id in (7, 9):
        bank.keep(object_id, 1, False, memory, pointer)
    bank.keep(5, 1, True, memory, pointer)
    assert bank.batches(bank.object_ids, 2, largest=8) == [[7, 8, 9], [5]]
    assert bank.batches(bank.object_ids, 2, largest=2) == [[7, 8], [9], [5]]
    assert bank.feeds([7, 8], 2)["memory_time"].tolist() == [[2, 0], [2, 2]]


def test_one_object_is_fed_without_a_copy() -> None:
    bank = MemoryBank(model(MemoryPolicy(recent_frames=3, prompted_frames=1, pointers=4)))
    for time in range(9):
        bank.keep(1, time, time == 0, np.full((TOKENS, CHANNELS), time, np.float32), np.zeros(POINTER, np.float32))
    first, second = bank.feeds([1], 9)["memory"], bank.feeds([1], 9)["memory"]
    assert np.shares_memory(first, second)
    assert first.flags.c_contiguous


def test_bytes_are_those_of_the_arrays() -> None:
    policy = MemoryPolicy(recent_frames=6, prompted_frames=8, pointers=16)
    assert bank_bytes(model(policy)) == 4 * (14 * TOKENS * CHANNELS + 23 * POINTER)


def test_an_unknown_object_cannot_be_forgotten() -> None:
    bank = MemoryBank(model(MemoryPolicy(recent_frames=1, prompted_frames=1, pointers=2)))
    with pytest.raises(PromptError, match="no object 3 is tracked; there are none"):
        bank.forget(3)
