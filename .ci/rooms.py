"""The rooms of the four packages, drawn from their imports: `python .ci/rooms.py`.

A room is a folder, or a file that lies beside folders. Its floor is one above the highest room that it imports. Prints
each package's rooms by floor; exits with 1 where rooms or modules import each other in a circle, or where an import
runs upwards against the layers that pyproject.toml states.
"""

import ast
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import tomllib

ROOT = Path(__file__).parent.parent
PACKAGES = ("runtime", "export", "calibration", "profiles")
Graph = Mapping[str, set[str]]


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by dotted name, benchmark scripts left out."""
    paths = (path for path in (ROOT / package).rglob("*.py") if "benchmarks" not in path.parts)
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


def imported(path: Path) -> Iterator[str]:
    """Every name that a file imports from masklet, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("masklet."):
            for alias in node.names:
                yield f"{node.module}.{alias.name}".removeprefix("masklet.")
        elif isinstance(node, ast.Import):
            yield from (a.name.removeprefix("masklet.") for a in node.names if a.name.startswith("masklet."))


def module_graph(package: str) -> dict[str, set[str]]:
    """Which module of a package imports which."""
    known = modules(package)
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, path in known.items():
        for target in imported(path):
            found = target if target in known else target.rpartition(".")[0]
            if found in known and found != name:
                graph[name].add(found)
    return graph


def room(module: str) -> str:
    """The folder below the package that a module lies in; the module itself where it lies beside folders."""
    package, _, rest = module.partition(".")
    return rest.partition(".")[0] or package


def room_graph(graph: Graph) -> dict[str, set[str]]:
    """Which room imports which."""
    rooms: dict[str, set[str]] = {room(name): set() for name in graph}
    for name, targets in graph.items():
        rooms[room(name)] |= {room(target) for target in targets} - {room(name)}
    return rooms


def folder_graph(graph: Graph) -> dict[str, set[str]]:
    """Which folder imports which, at any depth; a file that lies beside folders stands for itself."""
    parents = {name.rpartition(".")[0] for name in graph if (ROOT / Path(*name.split("."))).is_dir()}

    def folder(name: str) -> str:
        return name if name.rpartition(".")[0] in parents else name.rpartition(".")[0]

    nested: dict[str, set[str]] = {folder(name): set() for name in graph}
    for name, targets in graph.items():
        nested[folder(name)] |= {folder(target) for target in targets} - {folder(name)}
    return nested


def floors(graph: Graph) -> dict[str, int]:
    """The floor of each node, 1 for those that import none. Raises CycleError."""
    floor: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        floor[name] = 1 + max((floor[target] for target in graph[name]), default=0)
    return floor


def stated_layers(package: str) -> list[set[str]]:
    """The layers that pyproject.toml states for a package, the lowest first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    stated = next(c for c in contracts if c["type"] == "layers" and c["containers"] == [f"masklet.{package}"])
    return [{name.strip(" ()") for name in layer.split("|")} for layer in reversed(stated["layers"])]


def upward(package: str, rooms: Graph) -> list[str]:
    """Imports that run to a higher layer, or to another room of the same one; rooms that no layer names."""
    level = {name: n for n, layer in enumerate(stated_layers(package)) for name in layer}
    found = [f"{name} has no layer" for name in rooms if name not in level and name != package]
    for name, targets in rooms.items():
        found += [f"{name} -> {t}" for t in targets if name in level and t in level and level[t] >= level[name]]
    return found


def main() -> int:
    faults = 0
    for package in PACKAGES:
        graph = module_graph(package)
        rooms = room_graph(graph)
        cycles: list[str] = []
        for kind in (graph, rooms, folder_graph(graph)):
            try:
                floors(kind)
            except CycleError as error:
                cycles.append(" -> ".join(error.args[1]))
        up = upward(package, rooms)
        print(f"{package}: {len(graph)} modules, {len(rooms)} rooms, {len(cycles)} cycles, {len(up)} upward imports")
        for line in [*(f"cycle: {c}" for c in cycles), *(f"upward: {u}" for u in up)]:
            print(f"  {line}")
        if not cycles:
            floor = floors(rooms)
            for n in range(1, max(floor.values()) + 1):
                print(f"  {n:2}  {'  '.join(sorted(name for name in floor if floor[name] == n))}")
        faults += len(cycles) + len(up)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
