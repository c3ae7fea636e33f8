"""Type stubs of TensorRT, made from the binding wheels that NVIDIA publishes; they are under its licence, so not kept.

    python .ci/tensorrt_stubs.py OUT REQUIREMENT        # tensorrt-cu12-bindings==10.3.0

The bindings import once the libraries they link to exist: empty ones do. pybind11-stubgen then writes what it finds,
and what C++ signatures do not say of Python is mended.
"""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
POINTERS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
)
NUMBERS = ("getNvOnnxParserVersion", "initLibNvInferPlugins")
NULLABLE = (
    "build_serialized_network",
    "deserialize_cuda_engine",
    "create_execution_context",
    "create_engine_inspector",
    "create_timing_cache",
    "get_timing_cache",
)
CALLBACKS = ("ILogger", "IProgressMonitor")


def generate(wheel: Path, out: Path) -> None:
    """Write the package `tensorrt` of stubs below `out`."""
    major = wheel.name.split("-")[1].split(".")[0]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        zipfile.ZipFile(wheel).extractall(root)
        (root / "tensorrt_bindings").rename(root / "tensorrt")
        source = root / "empty.c"
        source.write_text(
            "".join(f"void *{name}(void) {{ return 0; }}\n" for name in POINTERS)
            + "".join(f"int {name}(void) {{ return 0; }}\n" for name in NUMBERS)
        )
        for name in LIBRARIES:
            library = f"lib{name}.so.{major}"
            flags = ["-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", str(root / library), str(source)]
            subprocess.run(["gcc", *flags], check=True)
        stubgen = [sys.executable, "-m", "pybind11_stubgen", "tensorrt", "--ignore-all-errors", "-o", str(out)]
        paths = {"LD_LIBRARY_PATH": scratch, "PYTHONPATH": scratch}
        subprocess.run(stubgen, check=True, env=os.environ | paths, capture_output=True)
    package = out / "tensorrt"
    for name, mend in (("tensorrt.pyi", mended_core), ("__init__.pyi", mended_package)):
        text = mend((package / name).read_text())
        compile(text, name, "exec")
        (package / name).write_text(text)
    (package / "py.typed").touch()


def mended_core(text: str) -> str:
    """The stubs of the compiled module."""
    header = "from __future__ import annotations\n"
    text = text.replace(header, f"{header}import builtins\nimport numpy\n", 1)
    text = "\n".join(_mended_line(line) for line in text.split("\n"))
    for name in CALLBACKS:  # Python's side of them gets plain numbers
        text = re.sub(rf"^class {name}\b.*?(?=^class )", _plain_numbers, text, flags=re.S | re.M)
    # protocols of Python that pybind11 does not list
    text = re.sub(
        r"(^class IHostMemory\b.*?)(^    def __del__)",
        r"\1    def __buffer__(self, flags: int) -> memoryview: ...\n\2",
        text,
        count=1,
        flags=re.S | re.M,
    )
    return re.sub(
        r"(^class Dims:.*?)(^    def __)",
        r"\1    def __iter__(self) -> collections.abc.Iterator[int]: ...\n\2",
        text,
        count=1,
        flags=re.S | re.M,
    )


def mended_package(text: str) -> str:
    """The stubs of the package around it."""
    text = re.sub(
        r"^def volume\(.*\).*:", "def volume(iterable: collections.abc.Iterable[int]) -> int:", text, flags=re.M
    )
    text = re.sub(r"^def nptype\(.*\).*:", "def nptype(trt_type: DataType) -> type[typing.Any]:", text, flags=re.M)
    header = "from __future__ import annotations\n"
    if not re.search(r"^__version__", text, flags=re.M):
        text += "\n__version__: str\n"
    return text.replace(header, f"{header}import collections.abc\nimport typing\n", 1)


def _mended_line(line: str) -> str:
    stripped = line.strip()
    if re.match(r"\w+: (typing\.ClassVar\[)?bool\b", stripped):
        return line.replace(": bool", ": builtins.bool")
    if not stripped.startswith("def "):
        return line
    line = re.sub(r"(?<=[ \[|])bool\b(?! =)", "builtins.bool", line)  # the module has a `bool` of its own
    line = re.sub(r"\bin: ", "in_: ", line)  # a keyword as a name
    line = re.sub(r"(= None, channel_axis: [\w.]+)\)$", r"\1 = ...)", line)
    line = re.sub(r"(= None, channel_axis: [\w.]+)\) ->", r"\1 = ...) ->", line)
    line = re.sub(r"(?<=: )Dims(?=[,)])", "Dims | collections.abc.Sequence[int]", line)  # what pybind11 converts
    line = re.sub(r": ([\w.]+) = None", r": \1 | None = None", line)
    name = re.match(r"def (\w+)\(", stripped)
    if name and name[1] in NULLABLE:
        line = re.sub(r" -> (\w+):$", r" -> \1 | None:", line)
    return line


def _plain_numbers(found: re.Match[str]) -> str:
    return found[0].replace("typing.SupportsInt", "int")


def main(out: Path, requirement: str) -> None:
    with tempfile.TemporaryDirectory() as wheels:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*download, "-d", wheels, requirement], check=True, stderr=subprocess.DEVNULL)
        generate(next(Path(wheels).glob("*.whl")), out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
