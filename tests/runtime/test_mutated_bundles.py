"""A bundle whose manifest is damaged is refused, or runs: nothing but a MaskletError ever comes of it.

MASKLET_MUTATIONS=20000 gives the long form.
"""

import json
import os
import warnings
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoints import nano_config, random_model
from declared import declared_sessions
from masklet.export import candidate_pointers
from masklet.export.families import edgetam, sam, sam2, sam3
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.describe import show
from masklet.runtime.bundle.manifest import MANIFEST, SEAL, Checkpoint, Parity, sha256
from masklet.runtime.bundle.pipelines import IMAGES
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.bundle.writer import write_bundle
from masklet.runtime.concepts.concept import Concept, Exemplar
from masklet.runtime.concepts.options import ConceptOptions
from masklet.runtime.concepts.predictor import ConceptPredictor
from masklet.runtime.concepts.tracker import ConceptTracker
from masklet.runtime.errors import MaskletError
from masklet.runtime.prompts.prompts import Box, Mask, Points
from masklet.runtime.results import Frame
from masklet.runtime.segmentation.image_predictor import ImagePredictor
from masklet.runtime.tracking.known_policies import bank_sizes
from masklet.runtime.tracking.video_tracker import VideoTracker
from mutated_manifests import Mutator
from sam3_checkpoints import detector_config, random_sam3, sam3_tokenizer, tracker_config, video_config
from sam_checkpoints import random_sam, sam_config
from tokenizers import Tokenizer

COUNT = int(os.environ.get("MASKLET_MUTATIONS", "6000"))
SEED = 2026
MODELS = (
    *("sam2.1", "sam2.1 with candidate pointers", "sam2.1 and foveated", "sam2.0", "edgetam"),
    *("sam", "sam-hq", "sam3", "sam3 tracker", "sam3 lite detector"),
)


def variants(name: str) -> list[ModelSpec]:
    """The declarations of a small model's variants."""
    if name == "sam2.1 and foveated":
        model = random_model(nano_config())
        return [sam2.FAMILY.spec(model), sam2.FAMILY.spec(model, token_memory=True)]
    return [declared(name)]


def declared(name: str) -> ModelSpec:
    """The declaration of a small model."""
    if name.endswith("with candidate pointers"):
        return candidate_pointers.declare(declared("sam2.1"))
    if name == "edgetam":
        if find_spec("timm") is None:
            pytest.skip("timm has EdgeTAM's backbone: pip install --no-deps timm")
        from edgetam_checkpoints import edgetam_config, random_edgetam

        return edgetam.FAMILY.spec(random_edgetam(edgetam_config()))
    if name.startswith("sam2"):
        return sam2.FAMILY.spec(random_model(nano_config(version="2.0" if "2.0" in name else "2.1")))
    if name.startswith("sam3"):
        configs = {"sam3": video_config, "sam3 tracker": tracker_config}
        config = configs[name]() if name in configs else detector_config(lite=True)
        return sam3.FAMILY.spec(random_sam3(config))
    return sam.FAMILY.spec(random_sam(sam_config(hq=name == "sam-hq")))


def written(models: Sequence[ModelSpec], root: Path) -> Path:
    """A bundle of variants with everything but the graphs, of which there is one byte each."""
    with write_bundle(root) as writer:
        for model in models:
            for stage in model.stages:
                for format in ("onnx", "onnx-ort"):
                    (writer.root / f"{stage.name}.{format}").write_bytes(b"x")
                    writer.add(stage.name, format, Precision.FP32, [f"{stage.name}.{format}"])
            parity = [Parity(s.name, "onnx", t.name, 1e-6, 1e-5) for s in model.stages for t in s.outputs]
            writer.end_variant(model, parity)
        if model.concepts is not None:
            tokenizer = Tokenizer.from_str(sam3_tokenizer().backend_tokenizer.to_str())
            tokenizer.enable_padding(length=32)
            tokenizer.save(str(writer.root / model.concepts.tokenizer))
            writer.add_asset(model.concepts.tokenizer)
        writer.seal_variants(Checkpoint("small", "0" * 64), {"masklet": "0"})
    return root


def reseal(root: Path, manifest: Any) -> None:
    (root / MANIFEST).write_text(json.dumps(manifest))
    (root / SEAL).write_text(sha256(root / MANIFEST))


def frames() -> Iterator[Frame]:
    rng = np.random.default_rng(0)
    for index in range(3):
        yield Frame(index, index / 30, rng.integers(0, 256, (36, 52, 3), np.uint8))


def run_all(bundle: Bundle) -> None:
    """Run every variant of a bundle's model."""
    for variant in bundle.manifest.all_variants():
        run(bundle.variant(variant.model.form))


def run(bundle: Bundle) -> None:
    """Run every pipeline that a model declares, on sessions that compute nothing."""
    sessions, model = declared_sessions(bundle), bundle.model
    click, box = Points.click(20, 10), Box(4, 4, 30, 30)
    square = np.zeros((36, 52), bool)
    square[8:20, 8:30] = True
    if not IMAGES.missing(model):
        predictor = ImagePredictor(sessions)
        predictor.set_image(next(frames()).image)
        found = predictor.predict([click, box, Mask(square)])
        predictor.predict(click, earlier=found.low_res[:1, 0])
        predictor.predict(box, choice="all", logits=True)
    for policy in bank_sizes(model):
        tracker = VideoTracker(sessions, memory=policy)
        prompts: dict[int, Any] = {0: {1: click}, 1: {2: Mask(square)}}
        for frame in frames():
            tracker.step(frame, prompts.get(frame.index))
        tracker.refine(1, box)
        VideoTracker(sessions, memory=policy).restore(tracker.snapshot())
    if model.concepts is not None:
        concepts = ConceptPredictor(sessions)
        concepts.set_image(next(frames()).image)
        concepts.find(["car", Concept("dog", (Exemplar(box),))])
    if model.concepts is not None and model.memory is not None:
        follower = ConceptTracker(sessions, ["car", "dog"], ConceptOptions(hotstart=0, hotstart_unmatched=0))
        for frame in frames():
            follower.step(frame, {9: click} if frame.index == 2 else None)
        follower.finish()


@pytest.fixture(params=MODELS)
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(variants(request.param), tmp_path / "some.bundle")


def test_a_sound_bundle_runs(root: Path) -> None:
    run_all(Bundle.load(root))


def test_a_damaged_bundle_is_refused_or_runs(root: Path) -> None:
    sound = json.loads((root / MANIFEST).read_text())
    mutator, refused = Mutator(SEED), 0
    for number in range(COUNT // len(MODELS)):
        reseal(root, mutator.mutate(sound))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                refused += loaded_and_run(root, inspected=number % 20 == 0)
        except Exception as error:
            raise AssertionError(f"mutation {number}: {mutator.said}") from error
    assert COUNT // len(MODELS) // 2 < refused < COUNT // len(MODELS)


def loaded_and_run(root: Path, *, inspected: bool) -> bool:
    """Load a bundle and run it; whether it was refused. Raises what is no MaskletError of one line."""
    bundle, message = None, ""
    try:
        bundle = Bundle.load(root)
        run_all(bundle)
        if inspected:
            show(bundle, bank_sizes(bundle.model), as_json=False)
    except MaskletError as error:
        message = str(error)
    assert "\n" not in message
    return bundle is None
