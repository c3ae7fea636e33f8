"""What every bundle has once `masklet build` was there, whatever its family and its precision."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from masklet.export.engines.build import BuildOptions
from masklet.export.engines.build_bundle import BuildRequest, run_build
from masklet.runtime.bundle.bundle import Bundle, BundleChoice

PRODUCTS = ("Conv", "ConvTranspose", "MatMul", "Gemm")
SMALL = """
name = "small"
[sizes]
objects = [1, 1, 2]
points = [1, 2, 4]
phrases = [1, 1, 2]
exemplars = [1, 1, 2]
tokens = [33, 34, 35]
selected = [1, 2, 4]
"""


def build_for_rtx(root: Path) -> dict[str, list[dict[str, Any]]]:
    """Build a bundle's engines for a device profile of few objects, and check them; returns their layers by stage."""
    device = root.parent / "small.toml"
    device.write_text(SMALL)
    run_build(BuildRequest(BundleChoice(root), "tensorrt-rtx", str(device), (), BuildOptions()))
    return layers_of_engines(root, "small")


def layers_of_engines(root: Path, device: str) -> dict[str, list[dict[str, Any]]]:
    """Check manifest, hashes and fingerprints of a bundle's engines, and that each accounts for its graph."""
    version = pytest.importorskip("tensorrt_rtx_bindings").__version__
    bundle = Bundle.load(root)
    engines = {a.stage: a for a in bundle.manifest.artifacts if a.format == "tensorrt-rtx"}
    assert set(engines) == {stage.name for stage in bundle.model.stages}
    layers = {}
    for stage in bundle.model.stages:
        artifact, graph = engines[stage.name], bundle.artifact(stage.name, ("onnx",))
        plan, account = (root / file.path for file in artifact.files)
        assert hashlib.sha256(plan.read_bytes()).hexdigest() == artifact.files[0].sha256
        assert artifact.precision == graph.precision
        said = artifact.built_for or {}
        assert said["graph"] == hashlib.sha256("".join(file.sha256 for file in graph.files).encode()).hexdigest()
        assert said["tensorrt"] == version
        assert (said["device"], said["gpu"], said["check"]) == (device, "any", "built, not run")
        assert "strongly typed" in said["flags"]
        assert all(f"{symbol} " in said["profiles"] for symbol in stage.symbols())
        found = json.loads(account.read_text())
        assert len(found["activation_bytes"]) == (2 if stage.symbols() else 1)
        assert all(count > 0 for count in found["activation_bytes"].values())
        layers[stage.name] = found["layers"]
        assert missing_products(bundle.path(graph), found["layers"]) == []
    return layers


def missing_products(graph: Path, layers: list[dict[str, Any]]) -> list[str]:
    """The graph's convolutions and matrix products that no layer accounts for."""
    made = " ".join(layer["Metadata"] for layer in layers)
    return [node.name for node in products(graph) if f"ONNX Layer: {node.name}]" not in made]


def products(graph: Path) -> list[onnx.NodeProto]:
    """The graph's convolutions and matrix products."""
    return [n for n in onnx.load(graph, load_external_data=False).graph.node if n.op_type in PRODUCTS]


def layers_with(name: str, layers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The layers that compute a node of the graph."""
    return [layer for layer in layers if re.search(rf"ONNX Layer: {re.escape(name)}\]", layer["Metadata"])]
