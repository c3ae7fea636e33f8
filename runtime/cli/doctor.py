"""What `masklet doctor` finds: versions, execution providers, GPU, and what is missing for what."""

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from masklet.runtime.backends.gpu.cuda import installed_adapters, open_cuda
from masklet.runtime.backends.ov.library import computes_in, device_name, load_openvino, openvino_version
from masklet.runtime.backends.trt.library import Backend, load_library, version_of
from masklet.runtime.cli.placements import auto_lines
from masklet.runtime.errors import SessionError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

PACKAGES = {
    "run": ("numpy", "opencv-python-headless", "av", "pillow", "pycocotools", "msgspec"),
    "export": ("torch", "transformers", "onnx", "onnxscript", "safetensors", "huggingface_hub"),
}
OPENCV = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
ORT = ("onnxruntime", "onnxruntime-gpu")


def report() -> None:
    """Print what is here. Nothing missing is an error: each verb needs only its own part."""
    console = Console()
    console.print(f"masklet {_version('masklet')}, Python {platform.python_version()}, {platform.platform()}")
    console.print(_package_table())
    engines = (*_onnxruntime_lines(), _openvino_line(), *_tensorrt_lines(), *auto_lines())
    for line in (*engines, _gpu_line(), _gstreamer_line()):
        console.print(line, soft_wrap=True)


def _package_table() -> Table:
    table = Table()
    for name in ("for", "package", "version"):
        table.add_column(name)
    for purpose, names in PACKAGES.items():
        for name in names:
            table.add_row(purpose, name, _version(name) or f"[yellow]missing[/yellow]: {_remedy(purpose)}")
    return table


def _remedy(purpose: str) -> str:
    return "pip install masklet" if purpose == "run" else f"pip install 'masklet\\[{purpose}]'"


def _onnxruntime_lines() -> list[str]:
    installed = [name for name in ORT if _version(name)]
    if not installed:
        return ["ONNX Runtime: [yellow]missing[/yellow]; pip install 'masklet\\[cpu]', or 'masklet\\[gpu]' for CUDA"]
    import onnxruntime

    lines = [f"ONNX Runtime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"]
    if len(installed) > 1:
        lines.append(
            "[yellow]onnxruntime and onnxruntime-gpu are both installed[/yellow] and overwrite each other's files; "
            "uninstall both, then install the one that you want"
        )
    return lines


def _openvino_line() -> str:
    """Its release, the devices that it finds, and what each computes in."""
    try:
        core = load_openvino().Core()
    except SessionError as error:
        return f"OpenVINO: [yellow]missing[/yellow]: {escape(str(error))}"
    found = (f"{d} ({device_name(core, d)}: {', '.join(computes_in(core, d))})" for d in core.available_devices)
    return f"OpenVINO {openvino_version()}: {escape(', '.join(found) or 'no device')}"


def _tensorrt_lines() -> list[str]:
    """Which TensorRT can be loaded, and by what the GPU is reached."""
    lines = []
    known: dict[Backend, str] = {
        "tensorrt": "builds and runs here",
        "tensorrt-rtx": "builds anywhere, runs on RTX GPUs",
    }
    for backend, runs in known.items():
        try:
            lines.append(f"{backend} {version_of(load_library(backend))}: {runs}")
        except SessionError as error:
            lines.append(f"{backend}: [yellow]missing[/yellow]: {escape(str(error))}")
    try:
        cuda = open_cuda()
    except SessionError as error:
        return [*lines, f"CUDA: {escape(str(error))}"]
    facts = cuda.facts
    cuda.close()
    reached = f"{facts.name}, compute capability {facts.compute_capability}, {facts.driver}"
    return [*lines, f"CUDA by {installed_adapters()[0]}: {reached}"]


def _gpu_line() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "GPU: no NVIDIA driver found (nvidia-smi is not on the path)"
    query = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    found = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    return "GPU: " + ("; ".join(found.stdout.strip().splitlines()) or f"nvidia-smi failed: {found.stderr.strip()}")


def _gstreamer_line() -> str:
    import cv2

    line = next((row for row in cv2.getBuildInformation().splitlines() if "GStreamer" in row), "GStreamer: NO")
    there = "YES" in line
    return "OpenCV with GStreamer: " + ("yes" if there else "no (CSI cameras and gst: pipelines need it)")


def _version(package: str) -> str | None:
    names = OPENCV if package in OPENCV else (package,)
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return "installed" if package in OPENCV and find_spec("cv2") else None
