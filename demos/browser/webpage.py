"""Click on an image in a browser: masklet encodes the image, the mask decoder runs in the page.

    npm ci --prefix demos/browser                                # ONNX Runtime as WebAssembly, once
    python demos/browser/webpage.py sam.bundle photo.jpg         # shows the page until Ctrl-C
    python demos/browser/webpage.py sam.bundle photo.jpg -o page # writes it as static files instead

The page loads nothing from anywhere else: image, embedding, decoder and WebAssembly lie in one folder, which any web
server can show.
"""

import json
import shutil
import tempfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated

import cv2
import msgspec
import typer
from masklet.runtime import Bundle, ImagePredictor
from masklet.runtime.pixels.geometry import U8, content_hw
from masklet.runtime.sources.image_files import read_image
from masklet.runtime.sources.source import Cut

HERE = Path(__file__).parent
PAGE = [HERE / name for name in ("index.html", "style.css", "page.js", "mask.js", "decoder.js")]
RUNTIME = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
PACKAGE = HERE / "node_modules" / "onnxruntime-web" / "dist"


def write_page(bundle: Bundle, image: U8, folder: Path) -> None:
    """Write the page for [H, W, 3] uint8 RGB, in whose pixels it clicks and shows masks."""
    artifact = bundle.artifact("mask_decoder", ["onnx"])  # standard operators: WebAssembly runs no others
    decoder, preprocess = bundle.model.stage("mask_decoder"), bundle.model.preprocess
    files = [bundle.root / file.path for file in artifact.files]
    for file in (*PAGE, *(PACKAGE / name for name in RUNTIME), *files):
        shutil.copy(file, folder)
    cv2.imwrite(str(folder / "image.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    found = ImagePredictor(bundle).embed(image).features
    given = {**found, "image_embed": found["vision_feat"]}  # SAM 2's name for features that met the memory, if any
    features = {name: feature for name, feature in given.items() if decoder.accepts(name)}
    for name, feature in features.items():
        (folder / f"{name}.bin").write_bytes(feature.tobytes())
    scene = {
        "graph": files[0].name,
        "weights": [file.name for file in files[1:]],
        "inputs": {tensor.name: tensor.shape for tensor in decoder.inputs},
        "features": {name: feature.shape for name, feature in features.items()},
        "side": preprocess.prompted,
        "fit": preprocess.resize,
        "covered": content_hw((image.shape[0], image.shape[1]), preprocess.prompted, preprocess.resize),
        "prompting": msgspec.to_builtins(bundle.model.prompting),
    }
    (folder / "scene.json").write_text(json.dumps(scene))


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder, isolated as browsers want it before they give a page several threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the folder for this machine alone; port 0 takes a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))


def main(
    bundle: Path,
    image: Path,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FOLDER")] = None,
    port: int = 8000,
    max_side: Annotated[int, typer.Option(help="Shrink the image to this many pixels a side at most.")] = 1024,
) -> None:
    """Show an image to click on, or write the page into a new FOLDER."""
    if not PACKAGE.is_dir():
        raise typer.BadParameter(f"{PACKAGE} is missing; run `npm ci --prefix {HERE}` first")
    pixels = Cut(max_side=max_side).shrink(read_image(image))
    if output is not None:
        output.mkdir()
        write_page(Bundle.load(bundle), pixels, output)
        return
    with tempfile.TemporaryDirectory() as name, serve(Path(name), port) as server:
        write_page(Bundle.load(bundle), pixels, Path(name))
        print(f"click on http://127.0.0.1:{server.server_port}/ (Ctrl-C ends)", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    typer.run(main)
