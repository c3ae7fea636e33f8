"""Exports a checkpoint to a bundle: load, trace, compare, write. Also compares a bundle with a checkpoint again."""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from masklet.export import candidate_pointers as pointers
from masklet.export import parity
from masklet.export.checkpoints.pretrained import Source, fingerprint, model_type
from masklet.export.checkpoints.recognise import FileOptions, RecognisedFile
from masklet.export.family import ExportStage, Family, Form
from masklet.export.graphs.trace import trace
from masklet.export.graphs.weights import SharedWeights
from masklet.export.known_families import family_of, open_checkpoint
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Checkpoint, Parity, Variant
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.spec import ModelSpec
from masklet.runtime.bundle.writer import BundleWriter, write_bundle
from masklet.runtime.errors import ExportError

MADE_WITH = ("masklet", "torch", "transformers", "onnx", "onnxscript", "onnxruntime")
Progress = Callable[[str], None]  # called with a description of the next step
Files = Mapping[str, tuple[str, ...]]  # of each format, the graph first


def silent(step: str) -> None:
    """A progress callback that does nothing."""


@dataclass(frozen=True)
class Exported:
    """The result of an export: the variants of the model, the first one first.

    taken: what was taken of a file of weights.
    """

    variants: tuple[Variant, ...]
    taken: str | None = None


def export_bundle(
    source: str,
    destination: Path,
    forms: Sequence[Form] = (Form(),),
    *,
    options: FileOptions | None = None,
    candidate_pointers: bool = False,
    replace: bool = False,
    progress: Progress = silent,
) -> Exported:
    """Export a checkpoint.

    source:      a hub id, a folder written by save_pretrained, or a file of weights in its authors' names.
    destination: folder of the bundle, which is written completely or not at all.
    forms:       variants of the model, which share their weights; the first one runs unless another is asked for.
    options:     how to read a file of weights.
    candidate_pointers: let the mask decoder give the pointer of every candidate (candidate_pointers.py).
    replace:     replace an existing bundle.
    Raises ExportError if the checkpoint cannot be loaded, is of no known family, or a graph differs from it;
    BundleError if the bundle cannot be written.
    """
    with write_bundle(destination, replace=replace) as writer:
        progress(f"loading {source}")
        opened = open_checkpoint(source, options)
        family = family_of(model_type(opened), opened)
        weights = SharedWeights(writer.root)
        done: list[Variant] = []
        for form in forms:
            model = family.load(opened, form.image_size)
            spec, stages = _declared(family, model, form, candidate_pointers)
            if any(spec.form == variant.model.form for variant in done):
                raise ExportError(f"{source}: the variant {spec.form} is given twice; leave one out")
            if not done:
                checkpoint = _describe(opened, model)
                if spec.concepts:
                    _add_tokenizer(spec.concepts.tokenizer, opened, options or FileOptions(), spec, writer)
            done.append(_export_variant(spec, stages, done, weights, writer, progress))
        writer.seal_variants(checkpoint, {name: importlib.metadata.version(name) for name in MADE_WITH})
    return Exported(tuple(done), checkpoint.taken)


def _declared(
    family: Family, model: Any, form: Form, candidate_pointers: bool
) -> tuple[ModelSpec, Iterable[ExportStage]]:
    """A loaded model as it is to be exported, and its stages."""
    spec, stages = family.spec(model, form.token_memory), family.stages(model, form.token_memory)
    return (pointers.declare(spec), map(pointers.add, stages)) if candidate_pointers else (spec, stages)


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
    total = len(spec.stages) - len(shared)
    figures = _export_stages(own, total, writer, weights, spec.form if done else "", progress)
    same = tuple(f for f in twin.parity if f.stage in shared) if twin else ()
    return writer.end_variant(spec, (*same, *figures))


def _describe(source: Source, model: Any) -> Checkpoint:
    if isinstance(source, RecognisedFile):
        return Checkpoint(str(source), fingerprint(model), source.taken, source.sha256())
    return Checkpoint(source, fingerprint(model))


def _add_tokenizer(name: str, source: Source, options: FileOptions, spec: ModelSpec, writer: BundleWriter) -> None:
    from masklet.export.tokenizer import tokenizer_file, tokenizer_of

    ids = next(t for t in spec.stage("text_encoder").inputs if t.name == "text_ids")
    (writer.root / name).write_bytes(tokenizer_file(tokenizer_of(source, options.tokenizer), int(ids.shape[1])))
    writer.add_asset(name)


def _export_stages(
    stages: Iterable[ExportStage],
    total: int,
    writer: BundleWriter,
    weights: SharedWeights,
    form: str,
    progress: Progress,
) -> tuple[Parity, ...]:
    """Write and compare every stage, `total` of them.

    The graphs of a stage are compared while the next one is traced, since tracing uses one core only; at most one stage
    is behind, so memory is bounded.
    """
    figures: list[Parity] = []
    with ThreadPoolExecutor(max_workers=1) as beside:
        comparing: Future[list[Parity]] | None = None
        for number, stage in enumerate(stages, start=1):
            name, place = stage.spec.name, f"stage {number} of {total}"
            progress(f"{place}, {name}: tracing")
            files = trace(stage).write(writer.root, weights, form)
            progress(f"{place}, {name}: running the checkpoint's own modules")
            calls = parity.reference_calls(stage)
            for format, paths in files.items():
                writer.add(name, format, Precision.FP32, paths)
            if comparing is not None:
                figures.extend(comparing.result())
            comparing = beside.submit(_compare, stage, calls, files, writer.root)
        if comparing is not None:
            progress("comparing the last stage")
            figures.extend(comparing.result())
    return tuple(figures)


def _compare(stage: ExportStage, calls: Sequence[parity.ReferenceCall], files: Files, root: Path) -> list[Parity]:
    """Compare the graphs of a stage with the checkpoint. Raises ExportError if one is beyond the tolerance."""
    figures = [f for format, paths in files.items() for f in parity.compare(stage, calls, format, root / paths[0])]
    parity.require(figures)
    return figures


def compare_bundle(
    bundle: Bundle, source: str, progress: Progress = silent, options: FileOptions | None = None
) -> Iterator[Parity]:
    """Compare every graph of a bundle with a checkpoint, stage by stage, in FP32.

    Also yields differences beyond the tolerance: the caller decides. Raises ExportError if the checkpoint cannot be
    loaded, or is of another model than the bundle.
    """
    progress(f"loading {source}")
    opened = open_checkpoint(source, options)
    family = family_of(model_type(opened), opened)
    form = Form(bundle.model.preprocess.hw, bundle.model.token_memory)
    spec, stages = _declared(family, family.load(opened, form.image_size), form, pointers.are_in(bundle.model))
    _same_kind(family, spec, bundle)
    for stage in stages:
        progress(f"{stage.spec.name}: running the checkpoint's own modules")
        calls = parity.reference_calls(stage)
        for artifact in bundle.manifest.artifacts:
            if artifact.stage == stage.spec.name and artifact.format.startswith("onnx"):
                progress(f"{stage.spec.name}: comparing {artifact.format}")
                yield from parity.compare(stage, calls, artifact.format, bundle.path(artifact))


def _same_kind(family: Family, spec: ModelSpec, bundle: Bundle) -> None:
    if spec != bundle.model:
        raise ExportError(
            f"{bundle.root}: holds {bundle.model.family} {bundle.model.variant}, the reference is {family.name} "
            f"{spec.variant} with other stages or limits; give the checkpoint that the bundle was made from, "
            f"{bundle.manifest.checkpoint.name}"
        )
