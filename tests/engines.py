"""Bundles whose engines are graphs in disguise, for the fake of `fake_cuda` to run."""

from pathlib import Path

from fake_cuda import FACTS, FakeCuda, FakeEngine
from masklet.runtime.backends.trt.backend import TensorRt
from masklet.runtime.backends.trt.engine import OpenEngine
from masklet.runtime.backends.trt.engine_choice import EnginePlan
from masklet.runtime.backends.trt.fingerprint import machine_fingerprint
from masklet.runtime.bundle.add_engines import amend_bundle
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, graph_hash

VERSION = "10.3.0"


def with_engines(bundle: Bundle, **built_for: str) -> Bundle:
    """The bundle with an engine a stage: its plan is the path of the graph. built_for: said otherwise of each."""
    with amend_bundle(bundle) as amendment:
        for stage in bundle.model.stages:
            graph = bundle.artifact(stage.name, ("onnx",))
            said = {
                **machine_fingerprint(VERSION, FACTS).entries(),
                "graph": graph_hash(graph),
                "device": "fake",
                **built_for,
            }
            plan = str(bundle.path(graph).resolve()).encode()
            amendment.put(
                Artifact(stage.name, "tensorrt", graph.precision, (), said),
                {f"engines/tensorrt/fake/{stage.name}.engine": plan},
            )
    return Bundle.load(bundle.root)


def fake_tensorrt(
    bundle: Bundle,
    cuda: FakeCuda,
    *,
    graphs: bool = False,
    ranges: dict[str, list[dict[str, tuple[int, int]]]] | None = None,
) -> TensorRt:
    """The backend on a fake GPU. ranges: of a stage's engine, the sizes that each of its profiles takes."""

    def load(backend: str, plan: EnginePlan) -> OpenEngine:
        graph = plan.data.decode()
        assert Path(graph).exists()
        return FakeEngine(cuda, bundle.model.stage(plan.stage), graph, (ranges or {}).get(plan.stage))

    return TensorRt(graphs=graphs, cuda=cuda, load=load, version=lambda backend: VERSION)
