"""The packages that run on a device, one requirement a line: those of masklet itself and of its extras for devices."""

from pathlib import Path

import tomllib

EXTRAS = ("cpu", "tensorrt", "feeds", "text", "calibrate", "bags")
OTHER_PYTHON = "python_version >= '3.11'"

project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
lines = [*project["dependencies"], *(line for extra in EXTRAS for line in project["optional-dependencies"][extra])]
for line in dict.fromkeys(lines):
    if OTHER_PYTHON not in line:
        print(line.partition(";")[0].strip().replace(" ", ""))
