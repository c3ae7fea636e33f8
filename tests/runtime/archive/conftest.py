"""One Ray for all tests of archives, with two workers, and clips to track."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
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
