"""`masklet profile` as a user meets it: four outputs of a real run, a comparison, and one line for bad input."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import Cli
from engines import fake_tensorrt, with_engines
from fake_cuda import FakeCuda
from masklet.runtime.backends.trt.backend import TensorRt
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.results import Frame
from masklet.runtime.sinks.json_lines import MasksJsonl

FRAMES, WARMUP = 12, 7
PROMPTS = ("--point", "1:30,30", "--box", "2:10,10,40,40")
ONE_THREAD = ("--threads", 1)


def test_a_run_gives_all_four_outputs(profile: Cli, nano_bundle: Path, clip: Path, tmp_path: Path) -> None:
    paths = {form: tmp_path / f"p.{form}" for form in ("json", "trace", "html")}
    outputs = [word for form, path in paths.items() for word in (f"--{form}", path)]
    sizes = ("--sweep", "objects=1,2", "memory=1,7")
    jsonl = tmp_path / "masks.jsonl"
    code, out, err = profile(nano_bundle, clip, *PROMPTS, *ONE_THREAD, *outputs, *sizes, "--masks", jsonl)
    assert code == 0, err
    assert f"{FRAMES - WARMUP} frames measured after {WARMUP} of warm-up, 2 objects, 7 memory frames" in out
    found = json.loads(paths["json"].read_text())
    assert list(found["stages"]) == ["image_encoder", "memory_attention", "mask_decoder", "memory_encoder"]
    assert found["stages"]["memory_attention"]["calls"] == FRAMES - WARMUP
    assert found["bundle"]["precision"]["image_encoder"] == "fp32"
    assert found["frames"] == FRAMES - WARMUP
    assert "over the run: " in out
    assert found["device"]["during"][0]["ram_used_mb"] > 0
    assert len(found["series"]["times_s"]) == FRAMES - WARMUP
    assert found["roofline"]["stages"]["memory_attention"]["sizes"] == {"objects": 2, "memories": 7, "pointers": 11}
    assert [stage["uncounted"] for stage in found["roofline"]["stages"].values()] == [[]] * 4
    sizes_run = [(p["objects"], p["memories"], p["frames"]) for p in found["growth"]["points"]]
    assert sizes_run == [(n, m, sizes_run[0][2]) for n in (1, 2) for m in (1, 7)]
    assert sizes_run[0][2] >= 5
    events = json.loads(paths["trace"].read_text())["traceEvents"]
    assert sum(e["ph"] == "X" and e["name"].startswith("frame ") for e in events) == FRAMES
    assert paths["html"].read_text().endswith("</html>\n")
    assert len(jsonl.read_text().splitlines()) == FRAMES
    assert {p.name for p in tmp_path.iterdir()} == {"p.json", "p.trace", "p.html", "masks.jsonl"}

    code, out, err = profile("--compare", paths["json"], paths["json"])
    assert code == 0, err
    assert "no verdict from 5 frames" in out
    compared = tmp_path / "compared.json"
    code, _, err = profile("--compare", paths["json"], paths["json"], "--json", compared)
    assert code == 0, err
    assert json.loads(compared.read_text())["changes"][0]["change"] == 0.0
    code, _, err = profile("--compare", paths["json"], paths["json"], "--html", tmp_path / "c.html")
    assert (code, "--html shows one run; --compare prints a table and writes --json" in err) == (2, True)


def test_an_object_may_join_within_the_run(profile: Cli, nano_bundle: Path, clip: Path) -> None:
    code, out, err = profile(nano_bundle, clip, "--point", "30,30", "--point", "2@9:40,30", "--warmup", 4, *ONE_THREAD)
    assert code == 0, err
    assert "1 to 2 objects, 4 to 7 memory frames" in out


BAD: list[tuple[str, tuple[object, ...]]] = [
    ("12 frames leave nothing to measure after 12 of warm-up", ("--warmup", 12)),
    ("7 frames leave nothing to measure after 7 of warm-up", ("--end", 7)),
    ("there is no folder", ("--json", "no/such/folder/p.json")),
    ("is a folder; give a file", ("--html", "/")),
    ("cannot be written", ("--trace", "/proc/p.json")),
    ("--sweep objects=none: expected objects=1,2,4", ("--sweep", "objects=none")),
    ("the model attends to 7 at most", ("--sweep", "memory=9")),
    ("sizes must follow --sweep", ("memory=9",)),
    ("give BUNDLE and SOURCE, or --compare", ("one", "more")),
    ("a prompt is for frame 99, but", ("--point", "@99:1,1")),
    ("--compare reads two reports and runs nothing", ("--compare", "a.json", "b.json")),
]


@pytest.mark.parametrize(("message", "words"), BAD, ids=[message for message, _ in BAD])
def test_bad_input_is_one_line(
    profile: Cli, nano_bundle: Path, clip: Path, message: str, words: tuple[object, ...]
) -> None:
    code, out, err = profile(nano_bundle, clip, *PROMPTS, *words)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("masklet: error: ")
    assert err.count("\n") == 1


def test_nothing_to_do_is_bad_input(profile: Cli, nano_bundle: Path, clip: Path) -> None:
    assert "give BUNDLE and SOURCE" in profile()[2]
    assert "nothing to track" in profile(nano_bundle, clip)[2]


@pytest.mark.parametrize(("text", "message"), [("{}", "not a profile"), ('{"schema": 7}', "a profile of schema 7")])
def test_a_comparison_with_something_else(profile: Cli, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    code, _, err = profile("--compare", path, path)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert "No such file" in profile("--compare", tmp_path / "none.json", path)[2]


def test_an_interrupted_run_reports_what_it_has(
    profile: Cli, nano_bundle: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = MasksJsonl.write

    def interrupted(self: MasksJsonl, frame: Frame, result: object) -> None:
        if frame.index == 9:
            raise KeyboardInterrupt
        taken(self, frame, result)  # type: ignore[arg-type]

    monkeypatch.setattr(MasksJsonl, "write", interrupted)
    report = tmp_path / "p.json"
    code, _, err = profile(nano_bundle, clip, *PROMPTS, *ONE_THREAD, "--masks", tmp_path / "m.jsonl", "--json", report)
    assert code == 130
    assert "the report covers the frames up to this point" in err
    assert json.loads(report.read_text())["frames"] == 2


class SlowCuda(FakeCuda):
    """A GPU whose work takes until it is waited for; knows how often it was."""

    waits = 0

    def synchronize(self) -> None:
        self.waits += 1


def test_engines_are_profiled_each_on_its_own(
    profile: Cli, nano_bundle: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = with_engines(Bundle.load(shutil.copytree(nano_bundle, tmp_path / "nano.bundle")), check="passed")
    opened: list[SlowCuda] = []

    def backend(name: str, *, graphs: bool) -> TensorRt:
        opened.append(SlowCuda())
        return fake_tensorrt(bundle, opened[-1], graphs=graphs)

    monkeypatch.setattr("masklet.runtime.backends.trt.backend.TensorRt", backend)
    words = (bundle.root, clip, *PROMPTS, "--backend", "tensorrt", "--cuda-graphs", "--sweep", "objects=1,2")
    report = tmp_path / "p.json"
    code, out, err = profile(*words, "--json", report)
    assert code == 0, err
    assert "all 5 stages: tensorrt fp32" in err
    assert "no roofline: the peak performance can be measured for the CPU only" in err
    assert "tensorrt 10.3.0 on Fake GPU with CUDA graphs" in out
    found = json.loads(report.read_text())
    assert found["roofline"] is None
    assert set(found["bundle"]["precision"].values()) == {"fp32"}
    assert [p["objects"] for p in found["growth"]["points"]] == [1, 2]
    run, sweep = opened
    assert run.closed
    assert sweep.closed
    calls = sum(stage["calls"] for stage in found["stages"].values())
    assert run.waits >= calls  # every stage was waited for, those included whose outputs stay on the device
    plain = SlowCuda()
    monkeypatch.setattr("masklet.profiles.pipeline.AwaitedSession", lambda session: session)
    monkeypatch.setattr("masklet.runtime.backends.trt.backend.TensorRt", lambda *_, **__: fake_tensorrt(bundle, plain))
    assert profile(*words[: words.index("--cuda-graphs")])[0] == 0
    assert plain.waits < run.waits


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--cuda-graphs",), "--cuda-graphs is for --backend tensorrt"),
        (("--backend", "tensorrt", "--provider", "cuda"), "--provider is for --backend onnxruntime"),
        (("--provider", "cuda", "--strict"), "CUDAExecutionProvider"),
    ],
)
def test_a_backend_that_is_not_to_be_had_is_one_line(
    profile: Cli, nano_bundle: Path, clip: Path, words: tuple[str, ...], message: str
) -> None:
    code, _, err = profile(nano_bundle, clip, *PROMPTS, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_a_fall_back_is_said(profile: Cli, nano_bundle: Path, clip: Path) -> None:
    code, out, err = profile(nano_bundle, clip, *PROMPTS, *ONE_THREAD, "--provider", "cuda")
    assert code == 0
    assert "all 5 stages: CPU, for this ONNX Runtime has no CUDAExecutionProvider" in err
    assert "ONNX Runtime, all 5 stages: CPU, for this" in out


def test_a_missing_onnx_leaves_the_roofline_out(
    profile: Cli, nano_bundle: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("masklet.profiles.pipeline.find_spec", lambda name: None)
    code, out, err = profile(nano_bundle, clip, *PROMPTS, *ONE_THREAD)
    assert code == 0
    assert "Roofline" not in out
    assert "pip install onnx" in err
