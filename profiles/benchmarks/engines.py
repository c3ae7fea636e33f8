"""Every stage of a bundle built by TensorRT for RTX without a GPU: time, size, memory estimated and stated.

    python profiles/benchmarks/engines.py BUNDLE... [--lower PRECISION]... [--write]

--lower fp16, int8-fp16: also an FP32 bundle's stages at this precision, with made-up ranges, on which neither an
engine's size nor its time depends. --write keeps the tables in engines.md beside this file.
"""

import argparse
import datetime
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from masklet.calibration.graphs.low_precision import StagePrecision, lower, lowest_groups
from masklet.calibration.graphs.ranges import Magnitudes
from masklet.calibration.graphs.stage_graph import write_graphs
from masklet.export.engines.build import BuildOptions, Engine, build_engine
from masklet.export.engines.device_profile import DeviceProfile
from masklet.export.engines.layers import operand_types
from masklet.export.engines.memory import StageMemory
from masklet.export.engines.plan import StagePlan, Target, plan_stages, stage_memory
from masklet.profiles.machine.device import device
from masklet.runtime.backends.trt.library import load_library, version_of
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.precision import Precision
from masklet.runtime.bundle.writer import write_bundle

HERE = Path(__file__).parent
RANGE = Magnitudes(largest=8.0)
TYPES = ("Float", "Half", "Int8")


@dataclass(frozen=True)
class Built:
    """One stage's engine, with what was estimated of it. seconds: processor time of building it."""

    plan: StagePlan
    estimated: StageMemory
    engine: Engine
    seconds: float

    def row(self) -> str:
        """A line of a bundle's table."""
        pairs = [
            f"{told / 1e6:.0f} / {stated / 1e6:.0f}"
            for told, stated in zip(self.estimated.activations, self.engine.activations, strict=False)
        ]
        of_type = [sum(kind in operand_types(layer) for layer in self.engine.layers) for kind in TYPES]
        cells = (
            f"{self.seconds:.1f}",
            f"{self.estimated.weights / 1e6:.1f}",
            f"{len(self.engine.plan) / 1e6:.1f}",
            *[*pairs, ""][:2],
            str(len(self.engine.layers)),
            *map(str, of_type),
        )
        return f"| {self.plan.stage.name} | {self.plan.graph.precision} | {' | '.join(cells)} |"


HEADER = (
    "| stage | precision | s | weights, MB | engine, MB | usual | most | layers | of FP32 | of FP16 | of INT8 |\n"
    "| --- | --- |" + " ---: |" * 9
)
SUMS = "| stages | s | weights, MB | engines, MB | the rest, MB | of the first |\n| --- |" + " ---: |" * 5


def build(bundle: Bundle, target: Target) -> Iterator[Built]:
    """Build every stage."""
    for plan in plan_stages(bundle, (), target):
        estimated, began_s = stage_memory(bundle, plan, target.library), time.process_time()
        engine = build_engine(
            target.library, target.backend, plan.stage, bundle.path(plan.graph), plan.profiles, target.options, _quiet
        )
        yield Built(plan, estimated, engine, time.process_time() - began_s)


def lowered(bundle: Bundle, precision: Precision, destination: Path) -> Bundle:
    """A bundle whose stages have a lower precision, right for sizes and times alone."""
    seen: dict[str, Magnitudes] = defaultdict(lambda: RANGE)
    with write_bundle(destination) as writer:
        for stage in bundle.model.stages:
            fits = lowest_groups(bundle, stage.name, precision)
            choice = StagePrecision(precision if fits else Precision.FP16)
            found = lower(bundle, stage.name, choice, seen, "max")
            for format, files in write_graphs(stage.name, found.models, writer.root).items():
                writer.add(stage.name, format, choice.precision, files)
        for asset in bundle.manifest.assets:
            shutil.copyfile(bundle.root / asset.path, writer.root / asset.path)
            writer.add_asset(asset.path)
        writer.seal(bundle.model, bundle.manifest.checkpoint)
    return Bundle.load(destination)


def tables(bundles: Sequence[tuple[str, Bundle]], target: Target) -> Iterator[str]:
    """A table a bundle, then one of the sums."""
    sums = []
    for title, bundle in bundles:
        yield from ("", f"### {title}", "", HEADER)
        done = []
        for built in build(bundle, target):
            done.append(built)
            yield built.row()
        seconds = sum(each.seconds for each in done)
        weights = sum(each.estimated.weights for each in done) / 1e6
        size = sum(len(each.engine.plan) for each in done) / 1e6
        sums.append((title, seconds, weights, size))
    yield from ("", SUMS)
    for title, seconds, weights, size in sums:
        share = size / sums[0][3]
        yield f"| {title} | {seconds:.1f} | {weights:.1f} | {size:.1f} | {size - weights:.1f} | {share:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument(
        "--lower", action="append", type=Precision, default=[], choices=(Precision.FP16, Precision.INT8_FP16)
    )
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    library = load_library("tensorrt-rtx")
    target = Target(library, "tensorrt-rtx", "any", DeviceProfile(precision={}), None, BuildOptions())
    text = [
        "# Engines built without a GPU",
        "",
        f"{datetime.date.today().isoformat()}, {device().cpu}, TensorRT for RTX {version_of(library)}, "
        "portable engines (compute capability 8.0 and later) of two profiles, `DeviceProfile`'s own sizes (up to 8 "
        "objects, 16 points). Activations in MB: estimated / stated by the builder, at the usual and at the largest "
        "sizes. Seconds are of processor time, of all threads. Layers by the type of anything that they read or write. "
        "The rest of an engine is mostly the source text of its kernels, which are compiled when it is loaded. "
        f"`python profiles/benchmarks/engines.py {' '.join(f'--lower {p}' for p in given.lower)} BUNDLE... --write`",
    ]
    print("\n".join(text), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(given.bundles):
            bundle = Bundle.load(path)
            model = bundle.model
            text += ["", f"## {model.family} {model.variant}, {model.preprocess.side} px"]
            precisions = [(p, lowered(bundle, p, Path(folder) / f"{number}-{p}.bundle")) for p in given.lower]
            for line in tables([("as it is", bundle), *precisions], target):
                text.append(line)
                print(line, flush=True)
    if given.write:
        (HERE / "engines.md").write_text("\n".join([*text, ""]))


def _quiet(phase: str, done: int, total: int) -> None:
    """Nobody is told how far it is."""


if __name__ == "__main__":
    main()
