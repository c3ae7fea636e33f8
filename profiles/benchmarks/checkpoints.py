"""Every published size, taken from its authors' .pt and from the save_pretrained folder of the same weights.

    python profiles/benchmarks/checkpoints.py [--only NAME ...] [--depth weights|graphs|parity] [--scratch FOLDER]
                                              [--write]

Weights are random and seeded, of the published dimensions; each pair is written, and each of the two taken, by
processes of their own. Depths, each of which includes the one before:
    weights  both are loaded as an export loads them; configuration and every weight are compared, by their hash.
    graphs   both are traced and written; all files, graphs, weights and tokenizers are compared, by their hashes.
    parity   both go through `masklet export`, every graph is compared with the checkpoint, and the figures too.
--write keeps each row in checkpoints.md beside this file as soon as it is known. SAM 3 takes 15 GB of memory and disk.
"""

import argparse
import datetime
import math
import multiprocessing
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PAGE = HERE / "checkpoints.md"
sys.path.insert(0, str(HERE.parents[1] / "tests"))

from masklet.runtime.bundle.bundle import Bundle  # noqa: E402
from masklet.runtime.bundle.manifest import MANIFEST, SEAL, sha256  # noqa: E402

COLUMNS = [
    "model",
    "parameters, M",
    "the .pt, MB",
    "same model",
    "same files",
    "parity, worst relative",
    "figures apart",
]
DEPTHS = ("weights", "graphs", "parity")
NOT_DONE = "not done"
HEAD = f"| {' | '.join(COLUMNS)} |\n|{' --- |' * len(COLUMNS)}"
BEGIN, END = "<!-- rows -->\n", "<!-- /rows -->"
MEGA = 1e6
EXPORT = f"""
import sys
sys.path.insert(0, {str(HERE.parents[1] / "tests")!r})
from torchvision_stub import import_timm
from masklet.runtime.cli.main import main
import_timm()
main()
"""  # EdgeTAM's backbone is in timm, which asks for torchvision


@dataclass(frozen=True)
class Size:
    """A published size: the layout of its authors' files, and a model of random weights."""

    layout: str
    model: Callable[[], Any]
    tokenizer: bool = False


def _sam(size: str, hq: bool) -> Size:
    def model() -> Any:
        from sam_checkpoints import random_sam, sam_config

        return random_sam(sam_config(size, side=1024, hq=hq))

    return Size("sam-hq" if hq else "sam", model)


def _sam2(size: str, version: str) -> Size:
    def model() -> Any:
        from checkpoints import SIZES, random_model, sam2_config

        return random_model(sam2_config(SIZES[size], version=version))

    return Size("sam2", model)


def _efficientvit(size: str) -> Size:
    def model() -> Any:
        from efficientvit_sam_checkpoints import efficientvit_sam_config, random_efficientvit_sam

        return random_efficientvit_sam(efficientvit_sam_config(size))

    return Size("efficientvit-sam", model)


def _mobile_sam() -> Any:
    from mobile_sam_checkpoints import PUBLISHED, mobile_sam_config, random_mobile_sam

    return random_mobile_sam(mobile_sam_config(1024, **PUBLISHED))


def _edge_sam() -> Any:
    from edge_sam_checkpoints import edge_sam_config, random_edge_sam

    return random_edge_sam(edge_sam_config(1024, published=True))


def _edgetam() -> Any:
    from edgetam_checkpoints import edgetam_config, random_edgetam

    return random_edgetam(edgetam_config(side=1024, small=False, published=True))


def _sam3() -> Any:
    from sam3_checkpoints import random_sam3
    from transformers import Sam3VideoConfig

    return random_sam3(Sam3VideoConfig())


SMALL_FIRST = [(size, version) for size in ("tiny", "small", "base-plus", "large") for version in ("2.0", "2.1")]
MODELS = {
    "EdgeTAM": Size("edgetam", _edgetam),
    **{f"SAM {version} {size}": _sam2(size, version) for size, version in SMALL_FIRST[:6]},
    "SAM ViT-B": _sam("base", False),
    "SAM-HQ ViT-B": _sam("base", True),
    **{f"SAM {version} {size}": _sam2(size, version) for size, version in SMALL_FIRST[6:]},
    "SAM ViT-L": _sam("large", False),
    "SAM-HQ ViT-L": _sam("large", True),
    "SAM ViT-H": _sam("huge", False),
    "SAM-HQ ViT-H": _sam("huge", True),
    "MobileSAM": Size("mobile-sam", _mobile_sam),
    "EdgeSAM": Size("edge-sam", _edge_sam),
    **{f"EfficientViT-SAM {size.upper()}": _efficientvit(size) for size in ("l0", "l1", "l2", "xl0", "xl1")},
    "SAM 3": Size("sam3", _sam3, tokenizer=True),
}


def write_pair(name: str, folder: Path) -> None:
    """Write the two forms of a model: weights.pt and checkpoint/."""
    from weights_files import their_weights, write_file

    size = MODELS[name]
    model = size.model()
    model.save_pretrained(folder / "checkpoint")
    if size.tokenizer:
        from sam3_checkpoints import sam3_tokenizer

        sam3_tokenizer().save_pretrained(folder / "checkpoint")
    write_file(folder / "weights.pt", their_weights(size.layout, model))


def apart(target: Callable[..., None], *arguments: Any) -> None:
    """Run a function in a process of its own, which gives its memory back."""
    process = multiprocessing.get_context("spawn").Process(target=_with_timm, args=(target, *arguments))
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{target.__name__} {arguments[0]}: ended with {process.exitcode}")


def _with_timm(target: Callable[..., None], *arguments: Any) -> None:
    from torchvision_stub import import_timm

    import_timm()
    target(*arguments)


def load(source: str) -> tuple[Any, Any, Any]:
    """A checkpoint as it is opened, its family, and the model, as an export has them."""
    from masklet.export.checkpoints.pretrained import model_type
    from masklet.export.known_families import family_of, open_checkpoint

    opened = open_checkpoint(source)
    family = family_of(model_type(opened), opened)
    return opened, family, family.load(opened, None)


def keep_fingerprint(source: str, target: Path) -> None:
    """Write the hash of the configuration and the weights of a checkpoint."""
    from masklet.export.checkpoints.pretrained import fingerprint

    target.write_text(fingerprint(load(source)[2]))


def trace_all(source: str, target: Path, tokenizer: str | None) -> None:
    """Write all graphs, weights and assets of a checkpoint, as an export does before it compares them."""
    from masklet.export.graphs.trace import trace
    from masklet.export.graphs.weights import SharedWeights
    from masklet.export.tokenizer import tokenizer_file, tokenizer_of

    target.mkdir()
    opened, family, model = load(source)
    spec, weights = family.spec(model), SharedWeights(target)
    if spec.concepts:
        tokens = next(t for t in spec.stage("text_encoder").inputs if t.name == "text_ids").shape[1]
        (target / spec.concepts.tokenizer).write_bytes(tokenizer_file(tokenizer_of(opened, tokenizer), int(tokens)))
    for stage in family.stages(model):
        trace(stage).write(target, weights)


def export_whole(source: str, target: Path, tokenizer: str | None) -> None:
    """Run `masklet export`."""
    options = ["--tokenizer", tokenizer] if tokenizer else []
    words = [sys.executable, "-c", EXPORT, "export", source, "-o", str(target), *options]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file but the manifest, which names the checkpoint."""
    paths = [path for path in folder.iterdir() if path.name not in (MANIFEST, SEAL)]
    return {path.name: sha256(path) for path in sorted(paths)}


def row(name: str, folder: Path, depth: str) -> Iterator[object]:
    """The cells of a model."""
    sources = {"theirs": folder / "weights.pt", "ours": folder / "checkpoint"}
    apart(write_pair, name, folder)
    megabytes = sources["theirs"].stat().st_size / MEGA
    yield from (name, f"{parameters(sources['ours']) / MEGA:.0f}", f"{megabytes:.0f}")
    for which, source in sources.items():
        apart(keep_fingerprint, str(source), folder / f"{which}.txt")
    yield _same((folder / "theirs.txt").read_text() == (folder / "ours.txt").read_text())
    if depth == "weights":
        yield from [NOT_DONE] * 3
        return
    for which, source in sources.items():
        tokenizer = str(sources["ours"]) if MODELS[name].tokenizer and which == "theirs" else None
        apart(export_whole if depth == "parity" else trace_all, str(source), folder / which, tokenizer)
    theirs, ours = hashes(folder / "theirs"), hashes(folder / "ours")
    yield f"{len(ours)} of {len(ours)}" if theirs == ours else "**no**"
    if depth == "graphs":
        yield from [NOT_DONE] * 2
        return
    figures, others = (Bundle.load(folder / which).manifest.parity for which in sources)
    apart_by = max(abs(one.relative - other.relative) for one, other in zip(figures, others, strict=True))
    yield from (f"{max(figure.relative for figure in figures):.1e}", f"{apart_by:.1e}")


def _same(are: bool) -> str:
    return "yes" if are else "**no**"


def parameters(checkpoint: Path) -> int:
    """How many numbers the safetensors of a checkpoint hold."""
    from safetensors import safe_open

    total = 0
    for path in checkpoint.glob("*.safetensors"):
        with safe_open(path, framework="np") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def keep(line: str) -> None:
    """Put a row into the page, in the place of an earlier one of the same model."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    table, _, after = rest.partition(END)
    lines = [old for old in table.splitlines() if old.startswith("| ") and not old.startswith(("| model", "| ---"))]
    by_name = {old.split(" | ")[0]: old for old in (*lines, line)}
    ordered = [by_name[f"| {name}"] for name in MODELS if f"| {name}" in by_name]
    day = f"Made on {datetime.date.today():%d %B %Y}."
    PAGE.write_text(f"{before}{BEGIN}{day}\n\n" + "\n".join([HEAD, *ordered]) + f"\n{END}{after}")


def main() -> int:
    """Print a row for each model, and write it where that is asked for."""
    parser = argparse.ArgumentParser(prog="checkpoints.py", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    parser.add_argument("--depth", choices=DEPTHS, default=DEPTHS[-1])
    parser.add_argument("--scratch", type=Path, help="for checkpoints and bundles, up to 15 GB; they are removed")
    parser.add_argument("--write", action="store_true", help="keep the rows in checkpoints.md")
    chosen = parser.parse_args()
    if chosen.scratch:
        chosen.scratch.mkdir(parents=True, exist_ok=True)
    print(HEAD, flush=True)
    for name in chosen.only:
        with tempfile.TemporaryDirectory(dir=chosen.scratch) as folder:
            line = "| " + " | ".join(map(str, row(name, Path(folder), chosen.depth))) + " |"
        print(line, flush=True)
        if chosen.write:
            keep(line)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
