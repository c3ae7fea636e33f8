"""`masklet serve`, read with Triton's own protobuf and run with ONNX Runtime."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from command_line import Cli
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import graph_hash
from masklet.runtime.serving.traffic import stage_traffic

pytest.importorskip("tritonclient.grpc", reason="Triton's client library has the schema")
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

FAMILIES = ["nano_bundle", "edgetam_bundle", "sam_bundle", "sam3_bundle"]
TYPES = {"TYPE_FP32": np.float32, "TYPE_UINT8": np.uint8, "TYPE_INT64": np.int64}


def configs(root: Path) -> dict[str, Any]:
    """Every config.pbtxt of a repository, parsed; unknown fields are errors."""
    return {
        path.parent.name: text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
        for path in root.glob("*/config.pbtxt")
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_every_stage_of_every_family(family: str, request: pytest.FixtureRequest, tmp_path: Path, cli: Cli) -> None:
    """The configuration agrees with the graph beside it: tensors, types, shapes; and its warm-ups run."""
    bundle, root = Bundle.load(request.getfixturevalue(family)), tmp_path / "models"
    code, _, err = cli("serve", bundle.root, "-o", root, "--device", "cpu", "--instances", "2", "--name", "m")
    assert code == 0, err
    found = configs(root)
    has_images = bundle.model.concepts is None or any(s.name == "mask_decoder" for s in bundle.model.stages)
    assert set(found) == {f"m.{stage.name}" for stage in bundle.model.stages} | ({"m.image"} if has_images else set())
    for stage in bundle.model.stages:
        config = found[f"m.{stage.name}"]
        assert config.name == f"m.{stage.name}"
        assert (config.instance_group[0].count, config.instance_group[0].kind) == (2, 2)  # KIND_CPU
        artifact = bundle.artifact(stage.name, ("onnx-ort", "onnx"))
        assert config.parameters["graph_sha256"].string_value == graph_hash(artifact)
        (version,) = (path for path in (root / config.name).iterdir() if path.is_dir())
        assert int(version.name) == int(graph_hash(artifact)[:15], 16) < 2**63
        _check_graph(config, onnxruntime.InferenceSession(version / config.default_model_filename))


def _check_graph(config: Any, session: onnxruntime.InferenceSession) -> None:
    batched = config.max_batch_size > 0
    for ports, declared in ((session.get_inputs(), config.input), (session.get_outputs(), config.output)):
        assert {port.name for port in ports} == {tensor.name for tensor in declared}
        for tensor in declared:
            port = next(port for port in ports if port.name == tensor.name)
            dims = list(tensor.dims)
            shape = [size if isinstance(size, int) else -1 for size in port.shape]
            assert [-1, *dims] == shape if batched else dims == shape
    assert len(config.model_warmup) >= 1
    for warm_up in config.model_warmup:
        feeds = {}
        for name, given in warm_up.inputs.items():
            dims = list(given.dims) if not batched else [1, *given.dims]
            feeds[name] = np.zeros(dims, TYPES[model_config_pb2.DataType.Name(given.data_type)])
        assert session.run(None, feeds)


def test_batching_needs_one_axis_in_every_tensor(nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    words = ["serve", nano_bundle, "-o", tmp_path / "models", "--max-batch", "8", "--queue-delay-us", "50"]
    assert cli(*words)[0] == 0
    found = {name.rpartition(".")[2]: config for name, config in configs(tmp_path / "models").items()}
    assert found["mask_prompt_encoder"].max_batch_size == 8
    assert found["mask_prompt_encoder"].dynamic_batching.max_queue_delay_microseconds == 50
    assert not found["mask_decoder"].HasField("dynamic_batching")  # it takes the features of one frame, too
    full = next(w for w in found["memory_attention"].model_warmup if w.name == "full_memory")
    assert list(full.inputs["memory"].dims)[:2] == [1, 7]


def test_the_image_path_joins_the_stages(nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    """Every tensor of a step is given by the request or by an earlier step, in the same type."""
    assert cli("serve", nano_bundle, "-o", tmp_path / "models", "--name", "m")[0] == 0
    found = configs(tmp_path / "models")
    ensemble = found["m.image"]
    assert ensemble.platform == "ensemble"
    known = {tensor.name: tensor.data_type for tensor in ensemble.input}
    for step in ensemble.ensemble_scheduling.step:
        stage = found[step.model_name]
        assert (tmp_path / "models" / step.model_name / str(step.model_version)).is_dir()
        assert set(step.input_map) == {tensor.name for tensor in stage.input}
        for tensor in stage.input:
            assert known[step.input_map[tensor.name]] == tensor.data_type
        known |= {step.output_map[tensor.name]: tensor.data_type for tensor in stage.output}
    assert {tensor.name for tensor in ensemble.output} <= set(known)
    assert "candidate_masks" in known


def test_traffic_is_the_bytes_of_the_tensors(nano_bundle: Path) -> None:
    """Against arrays of those shapes: two objects, seven memories, sixteen pointers."""
    model = Bundle.load(nano_bundle).model
    full = {"objects": 2, "memories": 7, "pointers": 16, "points": 1}
    for one in stage_traffic(model, objects=2):
        stage = model.stage(one.stage)
        assert one.sent == sum(np.zeros(t.sized(full), t.dtype).nbytes for t in stage.inputs)
        assert one.returned == sum(np.zeros(t.sized(full), t.dtype).nbytes for t in stage.outputs)


def test_other_models_stay(nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    root = tmp_path / "models"
    (root / "theirs").mkdir(parents=True)
    assert cli("serve", nano_bundle, "-o", root)[0] == 0
    before = sorted(path.relative_to(root) for path in root.rglob("*"))
    code, _, err = cli("serve", nano_bundle, "-o", root)
    assert (code, err.count("\n")) == (2, 1)
    assert "--force replaces it" in err
    assert cli("serve", nano_bundle, "-o", root, "--force")[0] == 0
    assert sorted(path.relative_to(root) for path in root.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--engine", "tensorrt"], "wanted tensorrt"),
        (["--name", "../m"], "'../m': wanted a name of letters"),
    ],
)
def test_bad_input(nano_bundle: Path, tmp_path: Path, cli: Cli, words: list[str], says: str) -> None:
    code, _, err = cli("serve", nano_bundle, "-o", tmp_path / "models", *words)
    assert (code, err.count("\n")) == (2, 1)
    assert says in err
    assert not (tmp_path / "models").exists()


def test_a_full_store(nano_bundle: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left behind."""

    def full(*paths: object) -> Callable[..., None]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("masklet.runtime.serving.repository.shutil.copyfile", full)
    code, _, err = cli("serve", nano_bundle, "-o", tmp_path / "models")
    assert (code, err.count("\n")) == (2, 1)
    assert "No space left on device" in err
    assert not list(tmp_path.iterdir())
