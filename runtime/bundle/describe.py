"""What `masklet inspect` shows of a bundle."""

from collections.abc import Mapping, Sequence

import msgspec
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import Artifact, Calibration, Parity
from masklet.runtime.bundle.spec import ModelSpec
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


def show(bundle: Bundle, banks: Mapping[str, int], *, as_json: bool, placements: Sequence[object] = ()) -> None:
    """Print a bundle as tables, or its manifest and totals as JSON.

    banks:      memory policy -> bytes of a full memory bank for one object; the model's own policy first.
    placements: what was chosen to run its stages, for the JSON.
    """
    if as_json:
        own = next(iter(banks.values()), 0)
        sums = {"bundle_bytes": bundle_bytes(bundle), "bank_bytes_per_object": own, "bank_bytes_by_policy": banks}
        manifest: dict[str, object] = msgspec.to_builtins(bundle.manifest)
        said = {**manifest, "sums": sums, "placements": list(placements)}
        print(msgspec.json.format(msgspec.json.encode(said), indent=2).decode())
        return
    console = Console(soft_wrap=False, markup=False)  # names of a manifest are no markup
    model = bundle.model
    console.print(
        Text(f"{model.family} {model.variant}", "bold"),
        f", {model.pipeline}, from {bundle.manifest.checkpoint.name}",
        sep="",
        soft_wrap=True,  # a path stays whole
    )
    height, width = model.preprocess.hw
    console.print(f"input {width} x {height} ({model.preprocess.resize}), {_size(bundle_bytes(bundle))} on disk")
    forms = [variant.model.form for variant in bundle.manifest.all_variants()]
    if len(forms) > 1:
        console.print(f"variants: {', '.join(forms)}; this is {forms[0]}, --variant shows another", highlight=False)
    if model.memory:
        console.print(
            f"full memory bank per object: {', '.join(f'{name} {_size(count)}' for name, count in banks.items())}"
        )
    if bundle.manifest.calibration:
        console.print(_calibration(bundle.manifest.calibration), highlight=False)
    if bundle.manifest.tuning:
        console.print(f"tuned: {bundle.manifest.tuning}", highlight=False)
    console.print(_stage_table(bundle))
    if any(artifact.built_for for artifact in bundle.manifest.artifacts):
        console.print(_engine_table(bundle))
    console.print(_tensor_table(model))


def _calibration(calibration: Calibration) -> Text:
    lost = (
        ""
        if calibration.jf is None or calibration.jf_fp32 is None
        else f", J&F {calibration.jf:.2f}, FP32 {calibration.jf_fp32:.2f} (at most {calibration.max_drop} lost)"
    )
    computed = [
        stage for stage, words in calibration.stages.items() if calibration.precision.bf16_tensors and "bf16" in words
    ]
    hint = f"; --precision-hint bf16 is proved for {', '.join(computed)}" if computed and calibration.within else ""
    verdict = Text("within") if calibration.within else Text("beyond", "bold red")
    kept = f"mask IoU with FP32 {calibration.iou:.4f} (at least {calibration.min_iou})"
    rest = f" its limits over {calibration.frames} frames: {kept}{lost}{hint}"
    return Text(f"{calibration.precision}, ").append_text(verdict).append(rest)


def bundle_bytes(bundle: Bundle) -> int:
    """Bytes of all files that the manifest names; a file that two artifacts share counts once."""
    return sum(file.bytes for file in bundle.manifest.files())


def graph_bytes(bundle: Bundle) -> int:
    """Bytes of all files except engines, which can be built again from the graphs."""
    engines = {file for artifact in bundle.manifest.artifacts if artifact.built_for for file in artifact.files}
    return sum(file.bytes for file in bundle.manifest.files() if file not in engines)


def _stage_table(bundle: Bundle) -> Table:
    table = _table("Artifacts", "stage", "format", "precision")
    for name in ("size", "parity", "worst output"):
        table.add_column(name, justify="right")
    for artifact in (a for a in bundle.manifest.artifacts if not a.built_for):
        worst = _worst(artifact, bundle.manifest.parity)
        table.add_row(
            artifact.stage,
            artifact.format,
            artifact.precision,
            _size(sum(f.bytes for f in artifact.files)),
            f"{worst.relative:.1e}" if worst else "not measured",
            worst.output if worst else "",
        )
    return table


def _engine_table(bundle: Bundle) -> Table:
    table = _table("Engines", "stage", "built by", "for", "precision")
    table.add_column("size", justify="right")
    table.add_column("check")
    for artifact in bundle.manifest.artifacts:
        if artifact.built_for:
            said = artifact.built_for
            by = f"{artifact.format} {said.get('tensorrt', '')}".strip()
            gpu = f"{said.get('gpu', '')}, {said.get('compute_capability', '')}"
            size = _size(sum(f.bytes for f in artifact.files))
            table.add_row(artifact.stage, by, gpu, artifact.precision, size, said.get("check", ""))
    return table


def _tensor_table(model: ModelSpec) -> Table:
    table = _table("Tensors (-> marks outputs)", "stage", "tensor", "type", "shape")
    for stage in model.stages:
        rows = [(t.name, t) for t in stage.inputs] + [(f"-> {t.name}", t) for t in stage.outputs]
        for number, (name, tensor) in enumerate(rows):
            title = "" if number else stage.name
            last = number == len(rows) - 1
            table.add_row(title, name, tensor.dtype, " x ".join(map(str, tensor.shape)), end_section=last)
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def _worst(artifact: Artifact, parity: tuple[Parity, ...]) -> Parity | None:
    rows = [p for p in parity if p.stage == artifact.stage and p.format == artifact.format]
    return max(rows, key=lambda p: p.relative, default=None)


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e5 else f"{count / 1e3:.1f} kB"
