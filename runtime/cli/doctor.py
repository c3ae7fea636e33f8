"""What `masklet doctor` reports: versions, execution providers, GPU, and missing packages by feature."""

import json
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

import typer
from masklet.runtime.backends.gpu.cuda import installed_adapters, open_cuda
from masklet.runtime.backends.ov.library import computes_in, device_name, load_openvino, openvino_version
from masklet.runtime.backends.trt.library import Backend, load_library, version_of
from masklet.runtime.cli.placements import auto_lines
from masklet.runtime.errors import SessionError
from masklet.runtime.extras import extras, installed_version
from masklet.runtime.sources.gst.elements import has_element
from masklet.runtime.sources.gst.library import GStreamerMissingError, gstreamer_version
from masklet.runtime.sources.gst.pipelines import decoders
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

ORT = ("onnxruntime", "onnxruntime-gpu")


def report(*, as_json: bool = False) -> None:
    """Print what is installed. A missing package is no error: each command needs only some of them."""
    about = f"masklet {installed_version('masklet')}, Python {platform.python_version()}, {platform.platform()}"
    engines = (*_onnxruntime_lines(), _openvino_line(), *_tensorrt_lines(), *auto_lines())
    lines = (*engines, _gpu_line(), *_gstreamer_lines())
    if as_json:
        plain = [Text.from_markup(line).plain for line in lines]
        packages = {name or "masklet": {p: installed_version(p) for p in own} for name, own in extras().items()}
        typer.echo(json.dumps({"about": about, "packages": packages, "engines": plain}, indent=1))
        return
    console = Console()
    console.print(about)
    console.print(_package_table())
    for line in lines:
        console.print(line, soft_wrap=True)


def _package_table() -> Table:
    """A row for each extra: what is installed of it, and how to install the rest."""
    table = Table()
    for name in ("extra", "packages", "to install it"):
        table.add_column(name)
    for extra, packages in extras().items():
        versions = {package: installed_version(package) for package in packages}
        shown = ", ".join(f"{p} {v}" if v else f"[yellow]{p} missing[/yellow]" for p, v in versions.items())
        remedy = escape(f"pip install 'masklet[{extra}]'") if extra else "pip install masklet"
        table.add_row(extra or "masklet", shown, "" if all(versions.values()) else remedy)
    return table


def _onnxruntime_lines() -> list[str]:
    installed = [name for name in ORT if _is_installed(name)]
    if not installed:
        return ["ONNX Runtime: [yellow]missing[/yellow]; pip install 'masklet\\[cpu]', or 'masklet\\[gpu]' for CUDA"]
    import onnxruntime

    lines = [f"ONNX Runtime {onnxruntime.__version__}: {', '.join(onnxruntime.get_available_providers())}"]
    if len(installed) > 1:
        lines.append(
            "[yellow]onnxruntime and onnxruntime-gpu are both installed[/yellow] and overwrite each other's files; "
            "uninstall both, then install one of them"
        )
    return lines


def _is_installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _openvino_line() -> str:
    """OpenVINO's release, its devices, and the precisions of each."""
    try:
        core = load_openvino().Core()
    except SessionError as error:
        return f"OpenVINO: [yellow]missing[/yellow]: {escape(str(error))}"
    found = (f"{d} ({device_name(core, d)}: {', '.join(computes_in(core, d))})" for d in core.available_devices)
    return f"OpenVINO {openvino_version()}: {escape(', '.join(found) or 'no device')}"


def _tensorrt_lines() -> list[str]:
    """Which TensorRT can be loaded, and which package accesses the GPU."""
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


def _gstreamer_lines() -> list[str]:
    """GStreamer, and which element of it decodes what."""
    try:
        lines = [f"GStreamer {gstreamer_version()}: {escape(', '.join(decoders(has_element)))}"]
        lines += [] if has_element("nvarguscamerasrc") else ["GStreamer: no nvarguscamerasrc, so no csi:// cameras"]
    except GStreamerMissingError as error:
        lines = [f"GStreamer: [yellow]missing[/yellow]: {escape(str(error))}"]
    return lines
