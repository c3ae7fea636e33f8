"""A checkpoint to a bundle: load, trace, compare, write; and a bundle to its checkpoint again, to compare."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from masklet.export import parity
from masklet.export.checkpoint import fingerprint, model_type
from masklet.export.family import ExportStage, Family, Form
from masklet.export.graphs.trace import trace
from masklet.export.graphs.weights import SharedWeights
from masklet.export.known_families import family_of
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Checkpoint, Parity, Variant
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.bundle.writer import BundleWriter, write_bundle
from masklet.runtime.errors import ExportError

MADE_WITH = ("masklet", "torch", "transformers", "onnx", "onnxscript", "onnxruntime")
Progress = Callable[[str], None]  # is told what is about to be done
Files = Mapping[str, tuple[str, ...]]  # of each format, the graph first


def silent(step: str) -> None:
    """Progress that nobody looks at."""


@dataclass(frozen=True)
class Exported:
    """What an export came to: the variants of the model, the first one first."""

    variants: tuple[Variant, ...]

    @property
    def figures(self) -> tuple[Parity, ...]:
        """What was measured of every graph."""
        return tuple(figure for variant in self.variants for figure in variant.parity)


def export_bundle(
    source: str,
    destination: Path,
    forms: Sequence[Form] = (Form(),),
    *,
    replace: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Export a checkpoint.

    source:      a hub id, or a folder written by save_pretrained.
    destination: the bundle's folder, which appears whole or not at all.
    forms:       the variants of the model, which share their weights; the first is the one that runs unless another is
                 asked for.
    replace:     put it in the place of a bundle that is there.
    Raises ExportError where the checkpoint cannot be had, is of no known family, or a graph differs from it;
    BundleError where the bundle cannot be written.
    """
    with write_bundle(destination, replace=replace) as writer:
        progress(f"loading {source}")
        family = family_of(model_type(source), source)
        weights = SharedWeights(writer.root)
        done: list[Variant] = []
        for form in forms:
            model = family.load(source, form.image_size)
            spec = family.spec(model, form.token_memory)
            if any(spec.form == variant.model.form for variant in done):
                raise ExportError(f"{source}: the variant {spec.form} is given twice; leave one out")
            if not done:
                checkpoint = Checkpoint(source, fingerprint(model))
                if spec.concepts:
                    _add_tokenizer(spec.concepts.tokenizer, source, spec, writer)
            stages = family.stages(model, form.token_memory)
            done.append(_export_variant(spec, stages, done, weights, writer, progress))
        writer.seal_variants(checkpoint, {name: importlib.metadata.version(name) for name in MADE_WITH})
    return Exported(tuple(done))


def _export_variant(
    spec: ModelSpec,
    stages: Iterable[ExportStage],
    done: Sequence[Variant],
    weights: SharedWeights,
    writer: BundleWriter,
    progress: Progress,
) -> Variant:
    """Export the stages of a variant. Those that an earlier one for frames of the same size has are the same graphs."""
    twin = next((v for v in done if v.model.preprocess == spec.preprocess), None)
    shared = {stage.name for stage in spec.stages if twin and stage in twin.model.stages}
    if twin:
        writer.add_shared(a for a in twin.artifacts if a.stage in shared)
    own = (stage for stage in stages if stage.spec.name not in shared)
    figures = _export_stages(own, writer, weights, spec.form if done else "", progress)
    same = tuple(f for f in twin.parity if f.stage in shared) if twin else ()
    return writer.end_variant(spec, (*same, *figures))


def _add_tokenizer(name: str, source: str, spec: ModelSpec, writer: BundleWriter) -> None:
    from masklet.export.tokenizer import tokenizer_file

    ids = next(t for t in spec.stage("text_encoder").inputs if t.name == "text_ids")
    (writer.root / name).write_bytes(tokenizer_file(source, int(ids.shape[1])))
    writer.add_asset(name)


def _export_stages(
    stages: Iterable[ExportStage], writer: BundleWriter, weights: SharedWeights, form: str, progress: Progress
) -> tuple[Parity, ...]:
    """Write and compare every stage. A stage's graphs are run beside the tracing of the next one, which keeps one core
    busy and no more; they are never two stages behind, so what is held is bounded."""
    figures: list[Parity] = []
    with ThreadPoolExecutor(max_workers=1) as beside:
        comparing: Future[list[Parity]] | None = None
        for stage in stages:
            name = stage.spec.name
            progress(f"{name}: tracing")
            files = trace(stage).write(writer.root, weights, form)
            progress(f"{name}: running the checkpoint's own modules")
            tried = parity.trials(stage)
            for format, paths in files.items():
                writer.add(name, format, Precision.FP32, paths)
            if comparing is not None:
                figures.extend(comparing.result())
            comparing = beside.submit(_compare, stage, tried, files, writer.root)
        if comparing is not None:
            progress("comparing the last stage")
            figures.extend(comparing.result())
    return tuple(figures)


def _compare(stage: ExportStage, tried: Sequence[parity.Trial], files: Files, root: Path) -> list[Parity]:
    """Compare a stage's graphs with the checkpoint. Raises ExportError where one is beyond tolerance."""
    figures = [f for format, paths in files.items() for f in parity.compare(stage, tried, format, root / paths[0])]
    parity.require(figures)
    return figures


def compare_bundle(bundle: Bundle, source: str, progress: Progress = silent) -> Iterator[Parity]:
    """Compare every graph of a bundle with a checkpoint, stage by stage, in FP32.

    Yields figures beyond tolerance as well: the caller decides. Raises ExportError where the checkpoint cannot be
    had, or is of another kind than the bundle.
    """
    progress(f"loading {source}")
    family = family_of(model_type(source), source)
    wanted = Form(bundle.model.preprocess.hw, bundle.model.token_memory)
    model = family.load(source, wanted.image_size)
    _same_kind(family, family.spec(model, wanted.token_memory), bundle)
    for stage in family.stages(model, wanted.token_memory):
        progress(f"{stage.spec.name}: running the checkpoint's own modules")
        tried = parity.trials(stage)
        for artifact in bundle.manifest.artifacts:
            if artifact.stage == stage.spec.name and artifact.format.startswith("onnx"):
                progress(f"{stage.spec.name}: comparing {artifact.format}")
                yield from parity.compare(stage, tried, artifact.format, bundle.path(artifact))


def _same_kind(family: Family, spec: ModelSpec, bundle: Bundle) -> None:
    if spec != bundle.model:
        raise ExportError(
            f"{bundle.root}: holds {bundle.model.family} {bundle.model.variant}, the reference is {family.name} "
            f"{spec.variant} with other stages or limits; give the checkpoint that the bundle was made from, "
            f"{bundle.manifest.checkpoint.name}"
        )
