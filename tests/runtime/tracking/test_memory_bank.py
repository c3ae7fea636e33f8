"""The memory bank against the reference's rules, written down with unbounded dictionaries (sam2_base.py 497-645)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from masklet.runtime.bundle.spec import MemorySpec, ModelSpec, Preprocess, StageSpec, Tensor, TensorSpec
from masklet.runtime.errors import PromptError
from masklet.runtime.streams.message_pack import pack
from masklet.runtime.tracking.known_policies import bank_bytes
from masklet.runtime.tracking.memory_bank import MemoryBank
from masklet.runtime.tracking.memory_policy import Seen

TOKENS, CHANNELS, POINTER = 4, 2, 3


def model(policy: MemorySpec) -> ModelSpec:
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


def keep(bank: MemoryBank, object_id: int, seen: Seen, pinned: bool, memory: Tensor, pointer: Tensor) -> None:
    assert bank.note(object_id, seen, pinned)  # these policies want a memory of every frame
    bank.keep(object_id, memory, pointer)


def seen(time: int, effective_iou: float = 1.0) -> Seen:
    return Seen(time, False, np.zeros((2, 2), np.float32), 0.0, effective_iou, effective_iou)


class Reference:
    """What Meta's code keeps of one object: every frame, for ever."""

    def __init__(self, policy: MemorySpec) -> None:
        self.policy = policy
        self.cond: set[int] = set()
        self.non_cond: dict[int, float] = {}  # effective IoU

    def keep(self, time: int, prompted: bool, effective_iou: float) -> None:
        self.cond.discard(time)
        self.non_cond.pop(time, None)
        if prompted:
            self.cond.add(time)
        else:
            self.non_cond[time] = effective_iou

    def forget_recent(self, time: int) -> None:
        for near in range(time - self.policy.recent_frames - 1, time + self.policy.recent_frames + 2):
            self.non_cond.pop(near, None)

    def attended(self, time: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        """(time, row of the temporal table) of each memory, (time, distance) of each pointer."""
        past = sorted((t for t in self.cond if t < time), key=lambda t: time - t)
        selected, rest = past[: self.policy.prompted_frames], past[self.policy.prompted_frames :]
        recent = {*self.non_cond, *rest}
        window = self.policy.recent_frames
        memories = {(t, window) for t in selected}
        memories |= {(time - r, r - 1) for r in range(1, window + 1) if time - r in recent}
        pointers = {(t, time - t) for t in selected}
        pointers |= {(time - d, d) for d in range(1, self.policy.pointers) if time - d in recent}
        return memories, pointers


class SelectingReference(Reference):
    """SAM 3's, which attends to frames that are worth it (sam3_tracker_base.py 517-553 and 602-725)."""

    def frame_filter(self, time: int) -> list[int]:
        valid: list[int] = []
        for earlier in range(time - 1, 0, -1):
            if earlier not in self.non_cond:
                continue
            if self.non_cond[earlier] > LEAST:
                valid.insert(0, earlier)
            if len(valid) >= self.policy.pointers - 1:
                break
        if time - 1 not in valid:
            valid.append(time - 1)
        return valid

    def attended(self, time: int) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        past = sorted((t for t in self.cond if t < time), key=lambda t: time - t)
        selected = past[: self.policy.prompted_frames]
        valid, num_maskmem = self.frame_filter(time), self.policy.recent_frames + 1
        memories = {(t, num_maskmem - 1) for t in selected}
        for t_pos in range(1, num_maskmem):
            t_rel = num_maskmem - t_pos
            if t_rel > len(valid):
                continue
            if valid[-t_rel] in self.non_cond:
                memories.add((valid[-t_rel], num_maskmem - t_pos - 1))
        pointers = {(t, time - t) for t in selected}
        for t_diff in range(1, self.policy.pointers):
            if -t_diff <= -len(valid):
                break
            if valid[-t_diff] in self.non_cond:
                pointers.add((valid[-t_diff], t_diff))
        return memories, pointers


LEAST = 0.01


def policies(least: float | None) -> st.SearchStrategy[MemorySpec]:
    return st.builds(MemorySpec, st.integers(1, 6), st.integers(1, 3), st.integers(2, 9), st.just(least))


# of each frame: is it prompted, is it corrected afterwards, are recent memories let go around a prompt
frames = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=40)
# of each frame: is it prompted, its effective IoU, and that of its correction, if there is one
judged = st.tuples(st.integers(0, 5).map(lambda n: n == 0), st.sampled_from([0.0, LEAST, 0.02, 1.0]))
selections = st.lists(st.tuples(judged, st.none() | judged), min_size=1, max_size=40)


class Both:
    """The bank and its reference, given the same frames."""

    def __init__(self, reference: Reference) -> None:
        self.policy = reference.policy
        self.bank, self.reference = MemoryBank(model(self.policy)), reference

    def keep(self, time: int, prompted: bool, effective_iou: float = 1.0) -> None:
        memory, pointer = np.full((TOKENS, CHANNELS), time, np.float32), np.full(POINTER, time, np.float32)
        self.bank.begin(time)
        keep(self.bank, 1, seen(time, effective_iou), prompted, memory, pointer)
        self.reference.keep(time, prompted, effective_iou)

    def compare(self, time: int) -> None:
        self.bank.begin(time)
        feeds = self.bank.feeds([1])
        memories, pointers = self.reference.attended(time)
        kept = feeds["memory"][0, :, 0, 0].astype(int).tolist()
        assert set(zip(kept, feeds["memory_time"][0].tolist(), strict=True)) == memories
        assert len(kept) == len(memories)
        distances = np.rint(feeds["pointer_time"][0] * (self.policy.pointers - 1)).astype(int).tolist()
        kept = feeds["pointers"][0, :, 0].astype(int).tolist()
        assert set(zip(kept, distances, strict=True)) == pointers
        assert len(kept) == len(pointers)


@settings(max_examples=150, deadline=None)
@given(policy=policies(None), frames=frames, pin=st.booleans())
def test_the_bank_attends_to_what_the_reference_attends_to(
    policy: MemorySpec, frames: list[tuple[bool, bool, bool]], pin: bool
) -> None:
    both = Both(Reference(policy))
    both.keep(0, True)
    for time, (prompted, corrected, forget) in enumerate(frames, start=1):
        both.compare(time)
        if prompted and forget:
            both.bank.begin(time)
            both.bank.forget_recent(1)
            both.reference.forget_recent(time)
        both.keep(time, prompted)
        if corrected:
            both.compare(time)
            both.keep(time, pin or prompted)


Judged = tuple[bool, float]


@settings(max_examples=300, deadline=None)
@given(policy=policies(LEAST), frames=selections)
def test_frames_are_selected_as_in_the_reference(
    policy: MemorySpec, frames: list[tuple[Judged, Judged | None]]
) -> None:
    """Meta's loop goes through every frame that ever was; the bank knows the ones that count."""
    both = Both(SelectingReference(policy))
    both.keep(0, True)
    for time, (first, corrected) in enumerate(frames, start=1):
        both.compare(time)
        both.keep(time, *first)
        if corrected is not None:
            both.compare(time)
            both.keep(time, *corrected)
        if time % 7 == 0:  # a break, as --state makes one
            bank = MemoryBank(model(policy))
            bank.restore(both.bank.snapshot())
            both.bank = bank


def test_an_object_that_was_long_hidden_is_compared_with_what_it_was() -> None:
    both = Both(SelectingReference(MemorySpec(3, 1, 4, LEAST)))
    for time in range(60):
        both.keep(time, time == 0, 1.0 if time < 10 else 0.0)
    both.compare(60)
    assert sorted(both.bank.feeds([1])["memory"][0, :, 0, 0].tolist()) == [0, 8, 9, 59]
    plain = Both(Reference(MemorySpec(3, 1, 4)))
    for time in range(60):
        plain.keep(time, time == 0)
    plain.bank.begin(60)
    assert sorted(plain.bank.feeds([1])["memory"][0, :, 0, 0].tolist()) == [0, 57, 58, 59]


@settings(max_examples=50, deadline=None)
@given(policy=policies(LEAST), frames=selections, forgets=st.sets(st.integers(1, 40)))
def test_what_is_let_go_around_a_prompt_does_not_come_back(
    policy: MemorySpec, frames: list[tuple[Judged, Judged | None]], forgets: set[int]
) -> None:
    """Meta finds older frames again in their place; a bounded bank has none, and attends to a part of Meta's."""
    both = Both(SelectingReference(policy))
    both.keep(0, True)
    for time, (first, _) in enumerate(frames, start=1):
        if time in forgets:
            both.bank.begin(time)
            both.bank.forget_recent(1)
            both.reference.forget_recent(time)
        both.keep(time, *first)
        both.bank.begin(time + 1)
        feeds, (memories, _) = both.bank.feeds([1]), both.reference.attended(time + 1)
        assert set(feeds["memory"][0, :, 0, 0].astype(int).tolist()) <= {t for t, _ in memories}


def test_objects_that_keep_equally_much_share_a_batch() -> None:
    bank = MemoryBank(model(MemorySpec(recent_frames=2, prompted_frames=2, pointers=3)))
    memory, pointer = np.zeros((TOKENS, CHANNELS), np.float32), np.zeros(POINTER, np.float32)
    bank.begin(0)
    for object_id in (7, 8, 9):
        keep(bank, object_id, seen(0), True, memory, pointer)
    bank.begin(1)
    keep(bank, 8, seen(1), True, memory, pointer)
    for object_id in (7, 9):
        keep(bank, object_id, seen(1), False, memory, pointer)
    keep(bank, 5, seen(1), True, memory, pointer)
    bank.begin(2)
    assert bank.batches(bank.object_ids, largest=8) == [[7, 8, 9], [5]]
    assert bank.batches(bank.object_ids, largest=2) == [[7, 8], [9], [5]]
    assert bank.feeds([7, 8])["memory_time"].tolist() == [[2, 0], [2, 2]]


def test_one_object_is_fed_without_a_copy() -> None:
    bank = MemoryBank(model(MemorySpec(recent_frames=3, prompted_frames=1, pointers=4)))
    for time in range(9):
        bank.begin(time)
        keep(
            bank, 1, seen(time), time == 0, np.full((TOKENS, CHANNELS), time, np.float32), np.zeros(POINTER, np.float32)
        )
    bank.begin(9)
    first, second = bank.feeds([1])["memory"], bank.feeds([1])["memory"]
    assert np.shares_memory(first, second)
    assert first.flags.c_contiguous


def test_reading_changes_nothing() -> None:
    bank = MemoryBank(model(MemorySpec(recent_frames=2, prompted_frames=1, pointers=3)))
    memory, pointer = np.zeros((TOKENS, CHANNELS), np.float32), np.zeros(POINTER, np.float32)
    for time in range(5):
        bank.begin(time)
        keep(bank, 1, seen(time), time == 0, memory, pointer)
    before = pack(bank.snapshot())
    bank.batches([1], largest=8)
    bank.feeds([1])
    assert pack(bank.snapshot()) == before


def test_bytes_are_those_of_the_arrays() -> None:
    policy = MemorySpec(recent_frames=6, prompted_frames=8, pointers=16)
    assert bank_bytes(model(policy)) == 4 * (14 * TOKENS * CHANNELS + 23 * POINTER)


def test_an_unknown_object_cannot_be_forgotten() -> None:
    bank = MemoryBank(model(MemorySpec(recent_frames=1, prompted_frames=1, pointers=2)))
    with pytest.raises(PromptError, match="no object 3 is tracked; tracked objects: none"):
        bank.forget(3)
