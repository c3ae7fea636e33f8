"""The rooms of the packages, from the layers that import-linter checks (pyproject.toml)."""

import ast
from html import escape
from pathlib import Path

import tomllib

PACKAGES = ("runtime", "export", "calibration", "profiles")
COLUMN, BOX, GAP, TOP = 216, 22, 5, 40
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #20252b } .title { font-weight: 600; font-size: 13px }
.small { font-size: 10.5px; fill: #5b6570 } rect.room { fill: #d9eeea; stroke: #00897b }
"""


def layers(root: Path) -> dict[str, list[list[str]]]:
    """For each package its floors from top to bottom, each with one room or several side by side."""
    contracts = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return {
        contract["containers"][0].removeprefix("masklet."): [
            [room.strip() for room in floor.split("|")] for floor in contract["layers"]
        ]
        for contract in contracts
        if contract["type"] == "layers"
    }


def picture(root: Path) -> str:
    """An SVG: one column per package, one row per floor; a room imports only rooms below it."""
    floors = layers(root)
    parts = []
    for column, package in enumerate(PACKAGES):
        left = 10 + column * COLUMN
        parts.append(f'<text class="title" x="{left}" y="24">{package}/</text>')
        for number, rooms in enumerate(floors[package]):
            width = (COLUMN - 26 - GAP * (len(rooms) - 1)) / len(rooms)
            for place, room in enumerate(rooms):
                x, y = left + place * (width + GAP), TOP + number * (BOX + GAP)
                parts.append(f'<rect class="room" x="{x:.0f}" y="{y}" width="{width:.0f}" height="{BOX}" rx="4"/>')
                parts.append(f'<text x="{x + width / 2:.0f}" y="{y + 15}" text-anchor="middle">{escape(room)}</text>')
    height = TOP + max(map(len, floors.values())) * (BOX + GAP) + 24
    parts.append(
        f'<text class="small" x="10" y="{height - 8}">A room imports only rooms below it in its column; '
        "export, calibration and profiles also import runtime.</text>"
    )
    width = 10 + len(PACKAGES) * COLUMN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="Rooms">'
        f'<style>{STYLE}</style><rect width="{width}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def table(root: Path, package: str) -> str:
    """A Markdown table: each room of a package and the first sentence of its docstring."""
    rows = []
    for floor in layers(root)[package]:
        for room in floor:
            file = root / package / room / "__init__.py"
            file = file if file.exists() else root / package / f"{room}.py"
            text = ast.get_docstring(ast.parse(file.read_text())) or ""
            rows.append(f"| `{room}` | {text.splitlines()[0]} |")
    return "| room | content |\n| --- | --- |\n" + "\n".join(rows)
