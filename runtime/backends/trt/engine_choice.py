"""Selects the engine of a bundle for this machine. Engines contain code, so only verified ones are loaded."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
from masklet.runtime.backends.trt.fingerprint import BuildFlag, Fingerprint, difference, engines, graph_of
from masklet.runtime.backends.trt.library import Backend
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, graph_hash
from masklet.runtime.errors import SessionError


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """An engine whose hash matches the manifest.

    built_with: version of TensorRT.
    weights:    graph with the weights, if the engine was built without them.
    """

    stage: str
    data: bytes
    built_with: str
    weights: Path | None


def choose_engine(bundle: Bundle, stage: str, backend: Backend, here: Fingerprint) -> Artifact:
    """The newest engine of a stage that was built for this machine and from the bundle's graph.

    Raises SessionError naming the difference, and how to build an engine.
    """
    found = engines(bundle, stage, backend)
    remedy = f"masklet build {bundle.root} --backend {backend}"
    if not found:
        raise SessionError(f"stage {stage!r} has no {backend} engine; {remedy}")
    reasons = []
    for artifact in reversed(found):
        graph = graph_of(bundle, artifact)
        now = here if graph is None else msgspec.structs.replace(here, graph=graph_hash(graph))
        reason = difference(Fingerprint.of(artifact), now)
        if reason is None:
            return artifact
        reasons.append(reason)
    raise SessionError(f"stage {stage!r}: no {backend} engine is for this machine ({reasons[0]}); {remedy} --rebuild")


def checked_plan(bundle: Bundle, artifact: Artifact) -> EnginePlan:
    """Read an engine and check its hash. Raises SessionError if it differs from the manifest."""
    path, wanted = bundle.path(artifact), artifact.files[0]
    plan = path.read_bytes()
    if len(plan) != wanted.bytes:
        raise SessionError(f"{path}: has {len(plan)} of {wanted.bytes} bytes: it is truncated; build it again")
    if hashlib.sha256(plan).hexdigest() != wanted.sha256:
        raise SessionError(f"{path}: its SHA-256 is not the manifest's, so it is not loaded; build it again")
    built, graph = Fingerprint.of(artifact), graph_of(bundle, artifact)
    stripped = built.has(BuildFlag.STRIPPED)
    if stripped and graph is None:
        raise SessionError(f"{path}: was built without its weights, and the bundle lacks the graph that has them")
    weights = bundle.path(graph) if stripped and graph is not None else None
    return EnginePlan(artifact.stage, plan, built.tensorrt, weights)
