"""What distribution costs and gains: archives on Ray, stages on a model server, and a plan for 40,000 hours.

    python profiles/benchmarks/scale.py archive BUNDLE     throughput of 1 and 2 workers, with and without Ray
    python profiles/benchmarks/scale.py killed BUNDLE      five workers killed
    python profiles/benchmarks/scale.py driver BUNDLE      memory of the driver over 2,000 short videos
    python profiles/benchmarks/scale.py equal BUNDLE       40 clips, byte by byte beside `masklet run`
    python profiles/benchmarks/scale.py kserve BUNDLE      milliseconds a frame: local, over gRPC, in shared memory
    python profiles/benchmarks/scale.py plan PROFILE.json  a simulation from what `masklet profile --json` measured

With --write the figures go into scale.md. Needs masklet[archive,kserve], and for `kserve` MLServer in .venv/servers
(.ci/run installs it).
"""

import argparse
import datetime
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe, get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from masklet.profiles.benchmarks.scale_archive import CLICK, archive, driver, equal, killed
from masklet.profiles.benchmarks.scale_plan import plan
from masklet.profiles.benchmarks.stages import cpu_name
from masklet.runtime.backends.kserve.backend import KServe
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.tracking.video_tracker import VideoTracker
from two_discs import two_discs

PAGE = Path(__file__).with_suffix(".md")


def _serve(pipe: Any, root: str) -> None:
    from triton_like_server import TritonLike

    server = TritonLike(Bundle.load(root))
    pipe.send(server.url)
    pipe.recv()
    server.stop()


@contextmanager
def shared_memory_server(root: Path) -> Iterator[str]:
    """The tests' server with shared memory, in a process of its own."""
    here, there = Pipe()
    process = get_context("spawn").Process(target=_serve, args=(there, str(root)))
    process.start()
    yield str(here.recv())
    here.send(None)
    process.join()


def ms_per_frame(bundle: Bundle, backend: Any, frames: int = 30) -> float:
    """Median over the later frames of a clip with one object, in ms."""
    times = []
    with Sessions.open(bundle, backend) as sessions:
        tracker = VideoTracker(sessions)
        for frame in two_discs(frames, 128, (40, 45, 16), (90, 80, 20)):
            begun = time.perf_counter()
            tracker.step(frame, CLICK.schedule.get(frame.index))
            times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times[10:])


def kserve(root: Path) -> str:
    from model_servers import MlServer, write_mlserver_models

    bundle, rows = Bundle.load(root), dict[str, list[float]]()
    with tempfile.TemporaryDirectory() as folder, shared_memory_server(root) as shared:
        write_mlserver_models(bundle, Path(folder))
        server = MlServer(Path(folder))
        server.start()
        try:
            for _ in range(2):
                for name, backend in (
                    ("local, ONNX Runtime", OnnxRuntime(1)),
                    ("MLServer over gRPC", KServe(server.url)),
                    ("a server with shared memory (that of the tests, in Python)", KServe(shared)),
                ):
                    rows.setdefault(name, []).append(ms_per_frame(bundle, backend))
        finally:
            server.kill()
    lines = ["| | ms a frame | again |", "| --- | --- | --- |"]
    return "\n".join([*lines, *(f"| {name} | {one:.1f} | {again:.1f} |" for name, (one, again) in rows.items())])


def write(part: str, text: str, given: str) -> None:
    """Put a part into the page, between its marks."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->"
    head = f"{datetime.date.today().isoformat()}, {cpu_name()}, {os.cpu_count()} cores. `scale.py {part} {given}`\n\n"
    before, _, rest = PAGE.read_text().partition(begin)
    PAGE.write_text(before + begin + head + text + "\n" + end + rest.partition(end)[2])


def main() -> None:
    parts = {"archive": archive, "killed": killed, "driver": driver, "equal": equal, "kserve": kserve, "plan": plan}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=list(parts))
    parser.add_argument("path", type=Path, help="a bundle; for plan a profile")
    parser.add_argument("--write", action="store_true", help="put it into scale.md")
    given = parser.parse_args()
    text = parts[given.part](given.path.resolve())
    print(text)
    if given.write:
        write(given.part, text, given.path.name)


if __name__ == "__main__":
    main()
