"""`--backend auto` as it is typed: what it says, keeps and shows."""

from pathlib import Path

import msgspec
import pytest
from command_line import Cli
from noise_clip import write_noise

pytest.importorskip("openvino")


def test_run_and_show(nano_bundle: Path, tmp_path: Path, user_cache: Path, cli: Cli) -> None:
    """The first run chooses and says so, the second does not; both write every frame; inspect and doctor show it."""
    clip = write_noise(tmp_path, 4)
    words = ["run", nano_bundle, clip, "--point", "40,30", "--threads", "1", "--backend", "auto", "--masks"]
    code, _, err = cli(*words, tmp_path / "a.jsonl")
    assert code == 0, err
    assert "chosen at its first call" in err
    assert err.count(" ms (") == 4  # the stages that a click runs
    code, _, err = cli(*words, tmp_path / "b.jsonl")
    assert code == 0, err
    assert " ms (" not in err
    for name in ("a", "b"):
        assert (tmp_path / f"{name}.jsonl").read_text().count("\n") == 4
    code, out, _ = cli("inspect", nano_bundle)
    assert code == 0
    assert "Chosen by --backend auto" in out
    assert "1 threads" in out
    (placement,) = msgspec.json.decode(cli("inspect", nano_bundle, "--json")[1])["placements"]
    assert {c["stage"] for c in placement["choices"]} == {
        "image_encoder",
        "memory_attention",
        "mask_decoder",
        "memory_encoder",
    }
    _, out, _ = cli("doctor")
    assert "auto chooses among onnxruntime, openvino:f32" in out
    assert f"1 choices stored in {user_cache / 'placements'}" in out.replace("\n", "")


def test_profile_shows_what_was_chosen(nano_bundle: Path, tmp_path: Path, user_cache: Path, cli: Cli) -> None:
    clip, report = write_noise(tmp_path, 6), tmp_path / "report.json"
    words = ["profile", nano_bundle, clip, "--point", "40,30", "--threads", "1", "--warmup", "2", "--json", report]
    code, _, err = cli(*words, "--backend", "auto", "--place", "image_encoder=openvino,mask_decoder=onnxruntime")
    assert code == 0, err
    bundle = msgspec.json.decode(report.read_bytes())["bundle"]
    assert bundle["backend"].startswith("auto (")
    assert "image_encoder openvino:f32" in bundle["backend"]
    assert "mask_decoder onnxruntime" in bundle["backend"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["--backend", "auto", "--place", "encoder=openvino"],
            "--place encoder=openvino:f32: the model has no such stage",
        ),
        (["--backend", "auto", "--place", "image_encoder=tpu"], "--place: there is no backend tpu; choose one of"),
        (["--place", "image_encoder=openvino"], "--place is for --backend auto, not for onnxruntime"),
        (["--backend", "auto", "--place", "image_encoder=tensorrt"], "tensorrt is not installed"),
    ],
)
def test_what_is_placed_wrongly_is_one_line(
    nano_bundle: Path, tmp_path: Path, user_cache: Path, cli: Cli, words: list[str], says: str
) -> None:
    code, _, err = cli("run", nano_bundle, write_noise(tmp_path, 1), "--point", "40,30", *words)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1
