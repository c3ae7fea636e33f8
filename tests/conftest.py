"""What several tests share: the command line, and checkpoints and bundles, each made once a run."""

import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from checkpoints import nano_config, random_model, save_checkpoint
from command_line import Cli
from edge_sam_checkpoints import edge_sam_config, random_edge_sam
from edgetam_checkpoints import edgetam_config, random_edgetam
from efficientvit_sam_checkpoints import efficientvit_sam_config, random_efficientvit_sam
from evaluate import CHECKPOINT
from made_once import made_once
from mobile_sam_checkpoints import mobile_sam_config, random_mobile_sam
from sam3_checkpoints import random_sam3, save_sam3, video_config
from sam_checkpoints import random_sam, sam_config
from torchvision_stub import import_timm


def pytest_configure() -> None:
    """Give each worker of pytest-xdist a core: pools of threads that share cores wait for each other."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Run a command line in this process; returns the exit code, stdout and stderr."""
    from masklet.runtime.cli.main import main

    def run(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["masklet", *map(str, words)])
        capfd.readouterr()
        handler = signal.getsignal(signal.SIGTERM)
        with pytest.raises(SystemExit) as end:
            main()
        signal.signal(signal.SIGTERM, handler)
        out, err = capfd.readouterr()
        code = end.value.code
        return code if isinstance(code, int) else 0, out, err

    return run


def exported(checkpoint: Path) -> Callable[[Path], object]:
    """Makes the bundle of a checkpoint at a path."""

    def export(path: Path) -> None:
        from masklet.export.pipeline import export_bundle

        export_bundle(str(checkpoint), path)

    return export


@pytest.fixture(scope="session")
def nano_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM 2.1 of nano size for 128 px, as a folder."""
    return made_once(tmp_path_factory, "nano", lambda path: save_checkpoint(random_model(nano_config()), path))


@pytest.fixture(scope="session")
def nano_bundle(tmp_path_factory: pytest.TempPathFactory, nano_checkpoint: Path) -> Path:
    """The bundle of `nano_checkpoint`."""
    return made_once(tmp_path_factory, "nano.bundle", exported(nano_checkpoint))


@pytest.fixture(scope="session")
def variants_bundle(tmp_path_factory: pytest.TempPathFactory, nano_checkpoint: Path) -> Path:
    """`nano_checkpoint` in variants: for 128 px, the same with foveated memories, and for 64 px with foveated ones."""

    def export(path: Path) -> None:
        from masklet.export.family import Form
        from masklet.export.pipeline import export_bundle

        export_bundle(str(nano_checkpoint), path, [Form(128), Form(128, True), Form(64, True)])

    return made_once(tmp_path_factory, "variants.bundle", export)


@pytest.fixture(scope="session")
def trained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of the checkpoint that ships."""
    return made_once(tmp_path_factory, "trained.bundle", exported(CHECKPOINT))


@pytest.fixture
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "masklet"


@pytest.fixture(scope="session")
def sam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM of nano size for 128 px, as a folder."""
    return made_once(tmp_path_factory, "sam", lambda path: save_checkpoint(random_sam(sam_config()), path))


@pytest.fixture(scope="session")
def sam_bundle(tmp_path_factory: pytest.TempPathFactory, sam_checkpoint: Path) -> Path:
    """The bundle of `sam_checkpoint`."""
    return made_once(tmp_path_factory, "sam.bundle", exported(sam_checkpoint))


@pytest.fixture(scope="session")
def mobile_sam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random MobileSAM of nano size for 128 px, as a folder."""
    model = random_mobile_sam(mobile_sam_config())
    return made_once(tmp_path_factory, "mobile_sam", lambda path: save_checkpoint(model, path))


@pytest.fixture(scope="session")
def mobile_sam_bundle(tmp_path_factory: pytest.TempPathFactory, mobile_sam_checkpoint: Path) -> Path:
    """The bundle of `mobile_sam_checkpoint`."""
    return made_once(tmp_path_factory, "mobile_sam.bundle", exported(mobile_sam_checkpoint))


@pytest.fixture(scope="session")
def edge_sam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random EdgeSAM of nano size for 128 px, as a folder."""
    model = random_edge_sam(edge_sam_config())
    return made_once(tmp_path_factory, "edge_sam", lambda path: save_checkpoint(model, path))


@pytest.fixture(scope="session")
def edge_sam_bundle(tmp_path_factory: pytest.TempPathFactory, edge_sam_checkpoint: Path) -> Path:
    """The bundle of `edge_sam_checkpoint`."""
    return made_once(tmp_path_factory, "edge_sam.bundle", exported(edge_sam_checkpoint))


@pytest.fixture(scope="session")
def efficientvit_sam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random EfficientViT-SAM of nano size for 64 px, as a folder."""
    model = random_efficientvit_sam(efficientvit_sam_config())
    return made_once(tmp_path_factory, "efficientvit_sam", lambda path: save_checkpoint(model, path))


@pytest.fixture(scope="session")
def efficientvit_sam_bundle(tmp_path_factory: pytest.TempPathFactory, efficientvit_sam_checkpoint: Path) -> Path:
    """The bundle of `efficientvit_sam_checkpoint`."""
    return made_once(tmp_path_factory, "efficientvit_sam.bundle", exported(efficientvit_sam_checkpoint))


@pytest.fixture(scope="session")
def edgetam_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random EdgeTAM of nano size for 128 px, as a folder."""
    if find_spec("timm") is None:
        pytest.skip("timm has EdgeTAM's backbone: pip install --no-deps timm")
    import_timm()  # for the test, where another process has made the folder
    return made_once(tmp_path_factory, "edgetam", lambda path: save_checkpoint(random_edgetam(edgetam_config()), path))


@pytest.fixture(scope="session")
def edgetam_bundle(tmp_path_factory: pytest.TempPathFactory, edgetam_checkpoint: Path) -> Path:
    """The bundle of `edgetam_checkpoint`."""
    return made_once(tmp_path_factory, "edgetam.bundle", exported(edgetam_checkpoint))


@pytest.fixture(scope="session")
def sam3_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random SAM 3, detector and tracker, for 112 px, as a folder with a small tokenizer."""
    return made_once(tmp_path_factory, "sam3", lambda path: save_sam3(random_sam3(video_config()), path))


@pytest.fixture(scope="session")
def sam3_bundle(tmp_path_factory: pytest.TempPathFactory, sam3_checkpoint: Path) -> Path:
    """The bundle of `sam3_checkpoint`."""
    return made_once(tmp_path_factory, "sam3.bundle", exported(sam3_checkpoint))
