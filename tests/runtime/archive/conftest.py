"""One Ray for all tests of archives, with two workers; one without processes; and clips to track."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from archive_clips import FRAMES, Clips
from noise_clip import write_noise


@pytest.fixture(scope="session")
def ray_here() -> Iterator[Any]:
    """Ray, with room for two workers."""
    ray = pytest.importorskip("ray", reason="Ray: pip install 'masklet[archive]'")
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=80 << 20
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def on_ray(ray_here: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`masklet archive` uses that Ray, in place of one that it starts and ends."""
    monkeypatch.setattr("masklet.runtime.cli.archive_videos.cluster", lambda wanted: nullcontext(ray_here))
    return ray_here


class RayHere:
    """Runs the calls of workers in this process, each when it is asked for."""

    exceptions = SimpleNamespace(RayError=ChildProcessError)

    def remote(self, **options: Any) -> Callable[[Any], Any]:
        return lambda kind: SimpleNamespace(remote=lambda plan: self._actor(kind(plan)))

    def _actor(self, worker: Any) -> Any:
        calls = {name: SimpleNamespace(remote=partial(partial, getattr(worker, name))) for name in ("open", "run")}
        return SimpleNamespace(**calls)

    def wait(self, calls: list[Any], **options: Any) -> tuple[list[Any], list[Any]]:
        return calls[:1], calls[1:]

    def get(self, call: Callable[[], Any]) -> Any:
        return call()

    def kill(self, actor: Any) -> None: ...


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`masklet archive` runs its workers in this process."""
    monkeypatch.setattr("masklet.runtime.cli.archive_videos.cluster", lambda wanted: nullcontext(RayHere()))


@pytest.fixture
def clips(tmp_path: Path) -> Clips:
    """Makes folders of pictures."""

    def make(count: int) -> list[Path]:
        folders = [tmp_path / "clips" / f"clip{n}" for n in range(count)]
        for folder in folders:
            folder.mkdir(parents=True)
            write_noise(folder, FRAMES)
        return folders

    return make
