"""Every memory policy in whole trackers of SAM 2, EdgeTAM and SAM 3: corrections, breaks, devices, bad input."""

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from checkpoints import nano_config, random_model
from edgetam_checkpoints import edgetam_config, random_edgetam
from fake_cuda import FakeCuda
from masklet.export import candidate_pointers
from masklet.export.families import edgetam, sam, sam2, sam3
from masklet.runtime.backends.gpu.device_memory import DeviceMemory
from masklet.runtime.backends.gpu.device_session import resident_outputs
from masklet.runtime.backends.session import Feeds, Session, SessionAround
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.spec import ModelSpec, PromptPolicy, Tensor
from masklet.runtime.errors import PolicyError, PromptError, StateError
from masklet.runtime.prompts.prompts import Box, Points, Prompt
from masklet.runtime.results import FrameResult
from masklet.runtime.streams.message_pack import pack, unpack
from masklet.runtime.tracking.known_policies import bank_sizes, policy_names, policy_of, policy_text
from masklet.runtime.tracking.memory_policy import Choice
from masklet.runtime.tracking.policies.dam4sam import Dam4SamOptions
from masklet.runtime.tracking.policies.samurai import SamuraiOptions
from masklet.runtime.tracking.snapshot import TrackerSnapshot
from masklet.runtime.tracking.video_tracker import TrackerOptions, VideoTracker
from sam3_checkpoints import random_sam3, tracker_config
from sam_checkpoints import random_sam, sam_config
from torch_sessions import TorchSession
from two_discs import disc, two_discs

SAM2_SIDE = 128
OFTEN = "samurai:stable_frames=1,motion_weight=0.9,min_object_score=-100"
"""SAMURAI that often takes another candidate than the decoder, on random weights."""


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def torch_sessions(family: Any, model: Any) -> Sessions:
    stages = map(candidate_pointers.add, family.stages(model))
    return Sessions(candidate_pointers.declare(family.spec(model)), {s.spec.name: TorchSession(s) for s in stages})


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sessions]:
    folder = tmp_path_factory.mktemp("models")
    random_edgetam(edgetam_config()).save_pretrained(folder / "edgetam")
    random_sam3(tracker_config()).save_pretrained(folder / "sam3")
    return {
        "sam2": torch_sessions(sam2.FAMILY, random_model(nano_config())),
        "edgetam": torch_sessions(edgetam.FAMILY, edgetam.FAMILY.load(str(folder / "edgetam"), None)),
        "sam3": torch_sessions(sam3.FAMILY, sam3.FAMILY.load(str(folder / "sam3"), None)),
    }


Log = list[tuple[str, dict[str, Any], dict[str, Any]]]


def given(side: int) -> dict[int, dict[int, Prompt]]:
    return {
        0: {1: Points(np.array([[35, 40], [80, 70]], np.float32), np.array([1, 0])), 2: Box(60, 50, 100, 90)},
        4: {3: disc(side, 50, 50, 16)},
        9: {2: Points.click(75, 70)},
    }


def track(sessions: Sessions, memory: str, frames: int = 14, break_at: int | None = None) -> list[FrameResult]:
    """Three objects, a correction, an object that leaves; and a break, after which a new tracker goes on."""
    tracker, results = VideoTracker(sessions, memory=memory), []
    side = sessions.model.preprocess.side
    for frame in two_discs(frames, side, (35, 40, 14), (80, 70, 18)):
        if frame.index == break_at:
            saved = unpack(pack(tracker.snapshot()), TrackerSnapshot)
            tracker = VideoTracker(sessions, memory=memory)
            tracker.restore(saved)
        results.append(tracker.step(frame, given(side).get(frame.index)))
        if frame.index == 7:
            results.append(tracker.refine(1, Points.click(60, 60, positive=False)))
        if frame.index == 12:
            tracker.remove(3)
    return results


def same(some: list[FrameResult], others: list[FrameResult]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(np.array_equal(a.masks, b.masks) and np.array_equal(a.scores, b.scores) for a, b in pairs)


@pytest.mark.parametrize("family", ["sam2", "edgetam", "sam3"])
def test_every_policy_tracks_and_goes_on_after_a_break(models: dict[str, Sessions], family: str) -> None:
    sessions = models[family]
    own = track(sessions, policy_of(sessions.model).name)
    for number, memory in enumerate((*policy_names(), OFTEN, "samurai:camera_motion")):
        whole = track(sessions, memory)
        assert [r.object_ids.tolist() for r in whole] == [r.object_ids.tolist() for r in own]
        assert same(track(sessions, memory, break_at=1 + 2 * number), whole), memory
    assert not same(track(sessions, OFTEN), own)


def test_objects_of_one_batch_do_not_know_of_each_other(models: dict[str, Sessions]) -> None:
    """Each alone is what it is beside the others."""
    frames = two_discs(8, SAM2_SIDE, (35, 40, 14), (80, 70, 18))
    for memory in (*policy_names(), OFTEN):
        prompts = given(SAM2_SIDE)[0]
        both = VideoTracker(models["sam2"], memory=memory)
        alone = {i: VideoTracker(models["sam2"], memory=memory) for i in prompts}
        for frame in frames:
            found = both.step(frame, prompts if frame.index == 0 else None)
            for row, (i, tracker) in enumerate(alone.items()):
                own = tracker.step(frame, {i: prompts[i]} if frame.index == 0 else None)
                assert np.mean(found.masks[row] == own.masks[0]) > 0.999


class Watched(SessionAround):
    """Outputs that stay on a device are left there; feeds and outputs are noted."""

    def __init__(self, session: Session, model: ModelSpec, memory: DeviceMemory, cuda: FakeCuda, log: Log) -> None:
        super().__init__(session)
        self._stays, self._memory, self._cuda, self._log = resident_outputs(model, session.spec), memory, cuda, log

    def run(self, feeds: Feeds) -> dict[str, Tensor]:
        crossed = self._cuda.downloaded
        read = {name: np.array(feed) for name, feed in feeds.items()}  # a GPU would read them where they are
        self._cuda.downloaded = crossed
        out: dict[str, Any] = super().run(read)
        self._log.append((self.spec.name, read, out))
        left: dict[str, Any] = {name: self._memory.upload(out[name]) for name in self._stays}
        return {**out, **left}


def test_another_candidate_is_shown_remembered_and_pointed_with_on_a_device(models: dict[str, Sessions]) -> None:
    """A policy that always takes the second candidate: the memory encoder gets its mask, attention its pointer.

    Neither pointers nor memories come to the host.
    """
    plain, cuda, log = models["sam2"], FakeCuda(), Log()
    memory = DeviceMemory(cuda)
    stages = {s.name: Watched(plain._by_stage[s.name], plain.model, memory, cuda, log) for s in plain.model.stages}
    assert "candidate_pointers" in resident_outputs(plain.model, plain.model.stage("mask_decoder"))
    tracker = VideoTracker(Sessions(plain.model, stages), memory=SamuraiOptions(min_object_score=-100))
    tracker._masklets.bank.policy.choose = lambda state, seen: Choice(1)  # type: ignore[method-assign]
    for frame in two_discs(5, SAM2_SIDE, (35, 40, 14), (80, 70, 18)):
        cuda.downloaded = 0
        (pending,) = tracker.advance(frame, given(SAM2_SIDE)[0] if frame.index == 0 else None)
    assert cuda.downloaded == 0
    decoded = [out for name, _, out in log if name == "mask_decoder"]
    encoded = next(feeds for name, feeds, _ in log[::-1] if name == "memory_encoder")["low_res_mask"]
    attended = next(feeds for name, feeds, _ in log[::-1] if name == "memory_attention")["pointers"]
    for row in range(2):
        np.testing.assert_array_equal(encoded[row, 0], decoded[-1]["candidate_masks"][row, 2])
        assert (attended[row] == decoded[-2]["candidate_pointers"][row, 2]).all(axis=1).any()
    assert ((pending.low_res > 0) == (encoded[:, 0] > 0)).mean() > 0.99  # but for holes that were filled


def test_a_part_of_what_is_kept_is_attended_to_on_the_device(models: dict[str, Sessions]) -> None:
    """DAM4SAM keeps more than it attends to: rows are put together where they lie."""
    plain, cuda = models["sam2"], FakeCuda()
    memory = DeviceMemory(cuda)
    stages = {s.name: Watched(plain._by_stage[s.name], plain.model, memory, cuda, []) for s in plain.model.stages}
    trackers = [
        VideoTracker(sessions, memory="dam4sam:stride=1") for sessions in (plain, Sessions(plain.model, stages))
    ]
    for frame in two_discs(12, SAM2_SIDE, (35, 40, 14), (80, 70, 18)):
        cuda.downloaded = 0
        want, got = (each.step(frame, given(SAM2_SIDE)[0] if frame.index == 0 else None) for each in trackers)
        np.testing.assert_array_equal(got.masks, want.masks)
    assert cuda.downloaded == 0


def test_streams_that_share_sessions_have_policies_of_their_own(models: dict[str, Sessions]) -> None:
    sessions, frames = models["sam2"], two_discs(12, SAM2_SIDE, (35, 40, 14), (80, 70, 18))
    alone = [track(sessions, memory, 12) for memory in ("sam2", "dam4sam")]
    trackers = [VideoTracker(sessions, memory=memory) for memory in ("sam2", "dam4sam")]
    for frame in frames:
        for tracker, want in zip(trackers, alone, strict=True):
            found = tracker.step(frame, given(SAM2_SIDE).get(frame.index))
            if frame.index <= 7:  # the corrected frame of `track`
                assert np.array_equal(found.masks, want[frame.index].masks)


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        ("sam4", "no memory policy 'sam4'; known: .*dam4sam.*sam2"),
        ("dam4sam:speed=3", "dam4sam has no option 'speed'; it has min_iou"),
        ("dam4sam:stride=often", "stride takes a whole number, not 'often'"),
        ("dam4sam:min_iou", "min_iou takes a number, not ''"),
        ("dam4sam:stride=3,stride=4", "stride is given twice"),
        ("samurai:camera_motion=perhaps", "camera_motion takes true or false, not 'perhaps'"),
        ("samurai:motion_weight=2", "motion_weight 2.0 is out of range; give 0 to 1"),
        ("samurai", "cannot serve the memory policy 'samurai'.*export it again with --candidate-pointers"),
    ],
)
def test_a_policy_that_cannot_be_is_one_line(memory: str, said: str) -> None:
    model = sam2.FAMILY.spec(random_model(nano_config()))
    with pytest.raises(PolicyError, match=said) as error:
        policy_of(model, memory)
    assert "\n" not in str(error.value)


def test_a_model_without_candidates_or_memory_is_refused(models: dict[str, Sessions]) -> None:
    model = models["sam2"].model
    single = msgspec.structs.replace(model, prompting=PromptPolicy(multimask_when_tracking=False))
    with pytest.raises(PolicyError, match="decodes a single mask on tracked frames"):
        policy_of(single, "dam4sam")
    with pytest.raises(PolicyError, match="update interval 3: memory policy 'samurai' looks at every frame"):
        VideoTracker(models["sam2"], TrackerOptions(update_interval=3), "samurai")
    with pytest.raises(PromptError, match="has no memory: it segments images"):
        policy_of(sam.FAMILY.spec(random_sam(sam_config())), "dam4sam")


def test_a_state_of_another_policy_is_refused(models: dict[str, Sessions]) -> None:
    tracker = VideoTracker(models["sam2"], memory="dam4sam:stride=3")
    tracker.step(two_discs(1, SAM2_SIDE, (35, 40, 14), (80, 70, 18))[0], given(SAM2_SIDE)[0])
    saved = tracker.snapshot()
    assert saved.memory == "dam4sam:stride=3"
    for other in ("sam2", "dam4sam"):
        with pytest.raises(StateError, match=f"the state is of memory policy dam4sam:stride=3, not {other}"):
            VideoTracker(models["sam2"], memory=other).restore(saved)
    VideoTracker(models["sam2"], memory=Dam4SamOptions(stride=3)).restore(saved)


def test_a_policy_is_written_as_it_is_read(models: dict[str, Sessions]) -> None:
    model = models["sam2"].model
    for text in ("sam2", "sam3:min_effective_iou=0.25", "samurai:motion_weight=0.15,camera_motion=true"):
        assert policy_text(policy_of(model, text)) == text
    assert next(iter(bank_sizes(model))) == "sam2"
    assert set(bank_sizes(model)) == set(policy_names())
