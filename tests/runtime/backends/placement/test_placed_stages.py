"""A backend made of backends: what it chose is kept, and what was kept is not believed blindly."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from masklet.runtime.backends.known import backend_kind
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.placement import kept
from masklet.runtime.backends.placement.backend import PlacedStages, up_to
from masklet.runtime.backends.placement.pins import parse_pins
from masklet.runtime.backends.placement.session import full_memory
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Calibration
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import SessionError
from masklet.runtime.tracking.video_tracker import VideoTracker
from scripted_backends import Machine, Script
from two_discs import disc, two_discs

from .conftest import Here

SLOW, FAST = Script(0.03), Script(0.01)


@pytest.fixture
def bundle(nano_bundle: Path) -> Bundle:
    return Bundle.load(nano_bundle)


def run_once(bundle: Bundle, machine: Machine, objects: int = 1, place: str = "") -> tuple[PlacedStages, list[str]]:
    """Open all stages and run the mask prompt encoder; the backend, and what it told."""
    told: list[str] = []
    forms = machine.forms()
    backend = PlacedStages(forms, parse_pins(place, forms), machine.clock)
    backend.tell = told.append
    with Sessions.open(bundle, backend) as sessions:
        mask = bundle.model.stage("mask_prompt_encoder").inputs[0]
        sessions.run("mask_prompt_encoder", {"mask": np.zeros(mask.sized({"objects": objects}), np.uint8)})
    return backend, told


def kept_file(user_cache: Path) -> Path:
    (path,) = (user_cache / "placements").glob("*.json")
    return path


def test_a_choice_is_made_once(bundle: Bundle, here: Here) -> None:
    machine = here(onnxruntime=SLOW, b=FAST)
    backend, told = run_once(bundle, machine)
    assert backend.ran_on["mask_prompt_encoder"] == "b, fp32"
    assert told == ["mask_prompt_encoder: b, 10.0 ms (onnxruntime 30.0)"]
    before = len(machine.ran)
    _, told = run_once(bundle, machine)
    assert (told, machine.ran[before:]) == ([], ["b"])


def test_a_choice_holds_for_about_as_many_objects(bundle: Bundle, here: Here) -> None:
    assert [up_to(objects) for objects in (0, 1, 2, 3, 4, 5)] == [0, 1, 2, 4, 4, 8]
    machine = here(onnxruntime=SLOW, b=FAST)
    assert run_once(bundle, machine, objects=3)[1]
    machine = here(onnxruntime=FAST, b=SLOW)
    assert not run_once(bundle, machine, objects=4)[1]


def test_another_number_of_objects_is_chosen_for_by_itself(bundle: Bundle, here: Here, user_cache: Path) -> None:
    machine = here(onnxruntime=SLOW, b=FAST)
    run_once(bundle, machine)
    path = kept_file(user_cache)
    found = msgspec.json.decode(path.read_bytes(), type=kept.Placement)
    for objects, chosen in ((2, "onnxruntime"), (4, "b")):
        found.choices.append(msgspec.structs.replace(found.choices[0], objects=objects, chosen=chosen))
    path.write_bytes(msgspec.json.encode(found))
    machine = here(onnxruntime=SLOW, b=FAST)
    for objects, chosen in ((2, "onnxruntime"), (3, "b"), (1, "b")):
        assert run_once(bundle, machine, objects)[1] == []
        assert machine.ran[-1] == chosen


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (b"", "damaged"),
        (b'{"bundle": 3', "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"[1, 2]", "damaged"),
    ],
)
def test_a_damaged_cache_is_made_anew(bundle: Bundle, here: Here, user_cache: Path, damage: bytes, says: str) -> None:
    machine = here(onnxruntime=SLOW, b=FAST)
    run_once(bundle, machine)
    path = kept_file(user_cache)
    good = path.read_bytes()
    path.write_bytes(damage)
    _, told = run_once(bundle, machine)
    assert told[0].startswith(f"{path}: {says}")
    assert "\n" not in told[0]
    assert told[0].endswith("so stages are timed again")
    assert path.read_bytes() == good


def changed(path: Path, **changes: Any) -> None:
    found = msgspec.json.decode(path.read_bytes(), type=kept.Placement)
    machine = msgspec.structs.replace(found.machine, **changes)
    path.write_bytes(msgspec.json.encode(msgspec.structs.replace(found, machine=machine)))


def test_a_cache_of_another_machine_and_of_other_releases(bundle: Bundle, here: Here, user_cache: Path) -> None:
    machine = here(onnxruntime=SLOW, b=FAST)
    run_once(bundle, machine)
    path = kept_file(user_cache)
    changed(path, cpu="an abacus")
    assert (
        run_once(bundle, machine)[1][0]
        == f"{path}: of another machine (an abacus, 1 threads), so stages are timed again"
    )
    libraries = kept.this_machine(1).libraries
    changed(path, libraries={**libraries, "onnxruntime": "0.1"})
    assert (
        run_once(bundle, machine)[1][0] == f"onnxruntime 0.1 is now {libraries['onnxruntime']}: stages are timed again"
    )


def test_a_cache_that_cannot_be_written(bundle: Bundle, here: Here, user_cache: Path) -> None:
    user_cache.parent.mkdir(parents=True)
    user_cache.write_text("a file")
    machine = here(onnxruntime=SLOW, b=FAST)
    assert run_once(bundle, machine)[0].ran_on["mask_prompt_encoder"] == "b, fp32"


def test_a_device_that_disappears(bundle: Bundle, here: Here) -> None:
    machine = here(onnxruntime=SLOW, b=FAST)
    run_once(bundle, machine)
    machine = here(onnxruntime=SLOW, b=replace(FAST, missing="no GPU was found"))
    backend, told = run_once(bundle, machine)
    assert told[0] == ("mask_prompt_encoder: b was chosen and cannot be used any more (no GPU was found); chosen again")
    assert backend.ran_on["mask_prompt_encoder"] == "onnxruntime, fp32"


def test_a_choice_that_is_not_proved_is_not_believed(bundle: Bundle, here: Here) -> None:
    machine = here(onnxruntime=SLOW, b=FAST)
    run_once(bundle, machine)
    machine = here(onnxruntime=SLOW, b=replace(FAST, precision=Precision.BF16))
    _, told = run_once(bundle, machine)
    assert told[0].endswith("cannot be used any more (bf16 is not proved); chosen again")
    assert "b is left out: not proved; masklet calibrate --precision bf16" in told


def test_what_crashed_twice_is_left_out(bundle: Bundle, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies leaves its note: the second time nobody tries again."""
    choices = kept.KeptChoices(bundle, 1)
    for _ in range(2):
        assert not choices.ended_too_often("mask_prompt_encoder", "b")
        guard = choices.trying("mask_prompt_encoder", "b")
        guard.__enter__()  # and the process is gone
        choices = kept.KeptChoices(bundle, 1)
    machine = here(onnxruntime=SLOW, b=FAST)
    backend, _ = run_once(bundle, machine)
    assert backend.ran_on["mask_prompt_encoder"] == "onnxruntime, fp32"
    assert "b" not in machine.ran


def test_an_attempt_that_ends_well_leaves_no_note(bundle: Bundle, here: Here, user_cache: Path) -> None:
    machine = here(onnxruntime=SLOW, b=replace(FAST, fails="out of memory"))
    for _ in range(3):
        choices = kept.KeptChoices(bundle, 1)
        choices.drop("mask_prompt_encoder")
        run_once(bundle, machine)
    assert msgspec.json.decode(kept_file(user_cache).read_bytes())["ended"] == {}


def test_pins(bundle: Bundle, here: Here) -> None:
    machine = here(onnxruntime=FAST, b=SLOW)
    _, told = run_once(bundle, machine, place="mask_prompt_encoder=b")
    assert (machine.ran, told) == (["b"], [])
    machine = here(onnxruntime=FAST, b=replace(SLOW, missing="b is not installed"))
    with pytest.raises(SessionError, match="b is not installed"):
        run_once(bundle, machine, place="mask_prompt_encoder=b")
    for text, says in (
        ("encoder=b", r"--place encoder=b: the model has no such stage; it has \['image_encoder'"),
        ("image_encoder=tpu", "--place: there is no backend tpu; choose one of onnxruntime, b"),
        ("image_encoder", "--place image_encoder: wanted STAGE=BACKEND"),
        ("image_encoder=b,image_encoder=onnxruntime", "image_encoder was given already"),
    ):
        with pytest.raises(SessionError, match=says):
            run_once(bundle, machine, place=text)


def test_nothing_to_choose_among_is_known_before_the_first_frame(bundle: Bundle, here: Here) -> None:
    machine = here(a=Script(missing="a is not installed"), b=Script(missing="b is not installed"))
    with pytest.raises(SessionError, match="nothing can run it here: a: a is not installed; b: b is not installed"):
        Sessions.open(bundle, PlacedStages(machine.forms()))


def test_memories_are_timed_as_many_as_there_will_be(bundle: Bundle) -> None:
    stage = bundle.model.stage("memory_attention")
    sizes = {"objects": 2, "memories": 1, "pointers": 2}
    rng = np.random.default_rng(0)
    feeds: dict[str, Tensor] = {t.name: rng.standard_normal(t.sized(sizes)).astype(t.dtype) for t in stage.inputs}
    grown = full_memory(bundle.model, stage, feeds)
    assert stage.check(grown) == {"objects": 2, "memories": 7, "pointers": 16}
    np.testing.assert_array_equal(grown["memory"][:, 6], feeds["memory"][:, 0])
    np.testing.assert_array_equal(grown["pointers"][:, 15], feeds["pointers"][:, 1])


def test_masks_are_those_of_the_backends_that_run(bundle: Bundle, user_cache: Path) -> None:
    """With the backends that are installed: a loop whose stages are chosen gives what ONNX Runtime gives."""
    frames, prompt = two_discs(10, 128, (40, 45, 16), (90, 80, 20)), disc(128, 40, 45, 16)

    def masks(backend: Any) -> list[Tensor]:
        with Sessions.open(bundle, backend) as sessions:
            tracker = VideoTracker(sessions)
            return [tracker.step(f, {1: prompt} if f.index == 0 else None).masks for f in frames]

    wanted = masks(OnnxRuntime(1))
    for _ in range(2):  # chosen, and as it was chosen
        got = masks(backend_kind("auto").create(1, {}))
        assert np.mean([(a != b).mean() for a, b in zip(got, wanted, strict=True)]) < 1e-4
    assert {c.stage for c in msgspec.json.decode(kept_file(user_cache).read_bytes(), type=kept.Placement).choices} == {
        stage.name for stage in bundle.model.stages
    }


def test_proof_is_by_stage(bundle: Bundle) -> None:
    proof = Calibration(
        Precision.BF16, "", {"image_encoder": "bf16", "mask_decoder": "fp32"}, 1, 1.0, None, None, 0.5, 0.985, True
    )
    proved = msgspec.structs.replace(bundle.manifest, calibration=proof)
    assert proved.proves("image_encoder", Precision.BF16)
    assert proved.proves("mask_decoder", Precision.FP32)
    assert not proved.proves("mask_decoder", Precision.BF16)
    assert not bundle.manifest.proves("image_encoder", Precision.BF16)
    beyond = msgspec.structs.replace(proof, within=False)
    assert not msgspec.structs.replace(proved, calibration=beyond).proves("image_encoder", Precision.BF16)


def test_the_machine_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept.this_machine(2) != kept.this_machine(3)
    assert Machine().clock() == 0.0
    assert "onnxruntime" in kept.this_machine(1).libraries
