"""Stages on a real server of the protocol, MLServer, in a process of its own."""

from collections.abc import Callable
from pathlib import Path
from threading import Timer

import msgspec
import numpy as np
import pytest
from command_line import Cli
from masklet.runtime.backends.kserve.backend import KServe
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.backends.session import Backend
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.manifest import ArtifactFile
from masklet.runtime.bundle.spec import Tensor
from masklet.runtime.errors import MaskletWarning, SessionError
from masklet.runtime.tracking.video_tracker import VideoTracker
from model_servers import MlServer, free_port
from noise_clip import write_noise
from two_discs import disc, two_discs

FRAMES = 6
KILLED_AFTER = 2  # frames


def test_four_streams_give_the_bytes_of_a_local_run(
    nano_bundle: Path, mlserver: MlServer, tmp_path: Path, cli: Cli
) -> None:
    clips = []
    for n in range(4):
        (tmp_path / str(n)).mkdir()
        clips.append(write_noise(tmp_path / str(n), FRAMES))
    words = ["run", nano_bundle, *clips, "--point", "40,30", "--point", "2@2:20,20", "--masks"]
    code, _, err = cli(*words, tmp_path / "remote.{stream}.jsonl", "--backend", "kserve", "--url", mlserver.url)
    assert code == 0, err
    assert err.count(f"mlserver 1.7.1 at {mlserver.url}, onnx") == 5  # stages
    code, _, err = cli(*words, tmp_path / "local.{stream}.jsonl", "--threads", "1")
    assert code == 0, err
    for n in range(1, 5):
        remote = (tmp_path / f"remote.{n}.jsonl").read_bytes()
        assert remote.count(b"\n") == FRAMES
        assert remote == (tmp_path / f"local.{n}.jsonl").read_bytes()


def test_encoder_there_and_the_rest_here(
    nano_bundle: Path, mlserver: MlServer, tmp_path: Path, user_cache: Path, cli: Cli
) -> None:
    clip = write_noise(tmp_path, 3)
    local = ("memory_attention", "mask_decoder", "memory_encoder", "mask_prompt_encoder")
    place = ",".join([f"image_encoder=kserve:{mlserver.url}", *(f"{stage}=onnxruntime" for stage in local)])
    words = ["run", nano_bundle, clip, "--point", "40,30", "--threads", "1", "--masks"]
    code, _, err = cli(*words, tmp_path / "placed.jsonl", "--backend", "auto", "--place", place)
    assert code == 0, err
    assert f"image_encoder: mlserver 1.7.1 at {mlserver.url}" in err
    code, _, err = cli(*words, tmp_path / "local.jsonl")
    assert code == 0, err
    assert (tmp_path / "placed.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()


def test_a_server_that_was_killed_is_waited_for(bundle: Bundle, mlserver: MlServer) -> None:
    """The memory of the stream is on this side: the masks are those of a run without an outage."""
    remote = KServe(mlserver.url, wait_s=120)
    wanted = _masks(bundle, OnnxRuntime(1))
    restart = Timer(0.5, mlserver.start, kwargs={"wait": False})

    def kill(frame: int) -> None:
        if frame == KILLED_AFTER:
            mlserver.kill()
            restart.start()

    with pytest.warns(MaskletWarning, match="was lost .*; waiting up to 120 s for it"):
        got = _masks(bundle, remote, kill)
    restart.join()
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_server_with_another_graph(bundle: Bundle, mlserver: MlServer) -> None:
    altered = [
        msgspec.structs.replace(artifact, files=(ArtifactFile(artifact.files[0].path, "0" * 64, 1),))
        for artifact in bundle.manifest.artifacts
    ]
    other = Bundle(bundle.root, msgspec.structs.replace(bundle.manifest, artifacts=tuple(altered)))
    with pytest.raises(SessionError, match=r"has another graph as 'sam2-.*image_encoder'.*`masklet serve` again"):
        KServe(mlserver.url).open(other, bundle.model.stage("image_encoder"))


def test_a_server_without_the_model(bundle: Bundle, mlserver: MlServer) -> None:
    with pytest.raises(SessionError, match=r"has no model 'mine.image_encoder'; write .* `masklet serve`"):
        KServe(mlserver.url, served_as="mine").open(bundle, bundle.model.stage("image_encoder"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--backend kserve needs --url HOST:PORT of the server's gRPC service"),
        (["--url", "http://rack:8000"], "--url http://rack:8000: wanted HOST:PORT"),
        (["--url", f"127.0.0.1:{free_port()}"], "no server of the KServe V2 protocol answers there: no connection"),
        (["--url", "127.0.0.1:1", "--server-wait", "0"], "--server-wait 0: wanted more than 0 seconds"),
    ],
)
def test_addresses(nano_bundle: Path, tmp_path: Path, cli: Cli, words: list[str], says: str) -> None:
    clip = write_noise(tmp_path, 1)
    code, _, err = cli("run", nano_bundle, clip, "--point", "40,30", "--backend", "kserve", *words)
    assert code == 2
    assert says in err
    assert err.count("\n") == 1


def test_a_server_that_does_not_come_back(bundle: Bundle, mlserver: MlServer) -> None:
    session = KServe(mlserver.url, wait_s=1).open(bundle, bundle.model.stage("image_encoder"))
    mlserver.kill()
    with (
        pytest.warns(MaskletWarning, match="was lost"),
        pytest.raises(SessionError, match=r"stage 'image_encoder': .* did not come back within 1 s: no connection"),
    ):
        session.run({"image": np.zeros((1, *bundle.model.preprocess.hw, 3), np.uint8)})


def _masks(bundle: Bundle, backend: Backend, before: Callable[[int], None] = lambda frame: None) -> list[Tensor]:
    frames, prompt = two_discs(FRAMES, 128, (40, 45, 16), (90, 80, 20)), disc(128, 40, 45, 16)
    found = []
    with Sessions.open(bundle, backend) as sessions:
        tracker = VideoTracker(sessions)
        for frame in frames:
            before(frame.index)
            found.append(tracker.step(frame, {1: prompt} if frame.index == 0 else None).masks)
    return found
