"""Every stage of a bundle built by TensorRT for RTX without a GPU: time, size, memory foretold and stated.

    python profiles/benchmarks/engines.py BUNDLE... [--write]

--write keeps the tables in engines.md beside this file.
"""

import argparse
import datetime
import platform
from pathlib import Path

from masklet.export.engines.build import BuildOptions, build_engine
from masklet.export.engines.device_profile import DeviceProfile
from masklet.export.engines.plan import Target, choose_target, plan_stages, stage_memory
from masklet.runtime.backends.tensorrt_library import load_library, version_of
from masklet.runtime.bundle import Bundle

HERE = Path(__file__).parent
DEVICE = DeviceProfile(sizes={"objects": (1, 1, 4), "points": (1, 2, 16)})


def rows_of(bundle: Bundle, target: Target) -> list[str]:
    """A line a stage, and the sums."""
    lines, seconds, size, weights = [], 0.0, 0, 0
    for plan in plan_stages(bundle, (), target):
        foretold, path = stage_memory(bundle, plan, target.library), bundle.path(plan.graph)
        engine = build_engine(
            target.library, target.backend, plan.stage, path, plan.profiles, target.options, lambda *step: None
        )
        pairs = [
            f"{told / 1e6:.0f} / {stated / 1e6:.0f}"
            for told, stated in zip(foretold.activations, engine.activations, strict=False)
        ]
        seconds, size, weights = seconds + engine.seconds, size + len(engine.plan), weights + foretold.weights
        lines.append(
            f"| {plan.stage.name} | {plan.graph.precision} | {engine.seconds:.1f} | {foretold.weights / 1e6:.1f} | "
            f"{len(engine.plan) / 1e6:.1f} | {' | '.join([*pairs, ''][:2])} | {len(engine.layers)} |"
        )
        print(lines[-1], flush=True)
    lines.append(f"| together | | {seconds:.1f} | {weights / 1e6:.1f} | {size / 1e6:.1f} | | | |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    library = load_library("tensorrt-rtx")
    target = choose_target(library, "tensorrt-rtx", None, None, BuildOptions())
    target = Target(library, "tensorrt-rtx", "any", DEVICE, None, target.options)
    cpu = next((line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")), platform.machine())
    text = [
        "# Engines built without a GPU",
        "",
        f"{datetime.date.today().isoformat()}, {cpu}, TensorRT for RTX {version_of(library)}, portable engines "
        "(compute capability 8.0 and later), profiles up to 4 objects. Activations in MB: foretold / stated by the "
        "builder, at the usual and at the largest sizes. `python profiles/benchmarks/engines.py BUNDLE... --write`",
    ]
    for path in given.bundles:
        bundle = Bundle.load(path)
        text += ["", f"## {bundle.model.family} {bundle.model.variant}, {bundle.model.preprocess.side} px", ""]
        text += ["| stage | precision | s | weights, MB | engine, MB | usual | most | layers |"]
        text += ["| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |", *rows_of(bundle, target)]
    if given.write:
        (HERE / "engines.md").write_text("\n".join([*text, ""]))


def _cpuinfo() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


if __name__ == "__main__":
    main()
