"""Tensors in memory that the server sees, too."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from masklet.runtime.backends.kserve.backend import KServe
from masklet.runtime.backends.ort.backend import OnnxRuntime
from masklet.runtime.bundle.bundle import Bundle
from masklet.runtime.bundle.spec import StageSpec, Tensor
from masklet.runtime.errors import SessionError
from triton_like_server import TritonLike

SIZES = {"objects": 2, "memories": 3, "pointers": 4, "points": 1}


@pytest.fixture
def server(bundle: Bundle) -> Iterator[TritonLike]:
    server = TritonLike(bundle)
    yield server
    assert not server.regions  # every region that was registered was unregistered
    server.stop()


def feeds_of(stage: StageSpec, **sizes: int) -> dict[str, Tensor]:
    rng = np.random.default_rng(1)
    return {t.name: rng.integers(0, 2, t.sized({**SIZES, **sizes})).astype(t.dtype) for t in stage.inputs}


def test_every_stage_gives_the_bytes_of_a_local_one(bundle: Bundle, server: TritonLike) -> None:
    """Also as its tensors grow, which needs a larger region, and when two results are held at once."""
    remote = KServe(server.url)
    for stage in bundle.model.stages:
        session, local = remote.open(bundle, stage), OnnxRuntime(1).open(bundle, stage)
        calls = [feeds_of(stage, objects=objects) for objects in (1, 5, 2)]
        got = [session.run(feeds) for feeds in calls]
        for outputs, feeds in zip(got, calls, strict=True):
            for name, wanted in local.run(feeds).items():
                np.testing.assert_array_equal(outputs[name], wanted)
                assert outputs[name].flags.writeable
        session.close()
    assert server.calls["infer"] == 3 * len(bundle.model.stages)
    assert server.calls["raw inputs"] == 0
    assert "shared memory" in str(remote)


def test_a_restarted_server_is_told_of_the_region_again(bundle: Bundle, server: TritonLike) -> None:
    stage = bundle.model.stage("image_encoder")
    session, feeds = KServe(server.url).open(bundle, stage), feeds_of(stage)
    first = session.run(feeds)
    for region in server.regions.values():
        region.close()
    server.regions.clear()  # what a restart forgets
    again = session.run(feeds)
    np.testing.assert_array_equal(first["vision_feat"], again["vision_feat"])
    session.close()


def test_a_server_that_cannot_open_the_region(bundle: Bundle) -> None:
    """It is on another machine, or sees another /dev/shm: tensors go through gRPC."""
    server = TritonLike(bundle, shares=False)
    stage = bundle.model.stage("image_encoder")
    remote, feeds = KServe(server.url), feeds_of(stage)
    got, wanted = remote.open(bundle, stage).run(feeds), OnnxRuntime(1).open(bundle, stage).run(feeds)
    np.testing.assert_array_equal(got["vision_feat"], wanted["vision_feat"])
    assert got["vision_feat"].flags.writeable
    assert server.calls["register"] == 1  # the trial
    assert server.calls["raw inputs"] == 1
    assert "shared memory" not in str(remote)
    server.stop()


@pytest.mark.parametrize("shares", [True, False])
def test_wrong_answers(bundle: Bundle, shares: bool) -> None:
    server = TritonLike(bundle, shares=shares)
    stage = bundle.model.stage("image_encoder")
    session, feeds = KServe(server.url).open(bundle, stage), feeds_of(stage)
    server.wrong_shape = True
    with pytest.raises(SessionError, match=r"stage 'image_encoder': 127.* returned .* as 'feat_s0', expected float32"):
        session.run(feeds)
    session.close()
    server.stop()


def test_refused_requests(bundle: Bundle, server: TritonLike) -> None:
    """What the declaration allows and the server does not."""
    stage = bundle.model.stage("image_encoder")
    session = KServe(server.url).open(bundle, stage)
    server.refuses = True
    with pytest.raises(SessionError, match=r"stage 'image_encoder': the server refused a request: .*unexpected shape"):
        session.run(feeds_of(stage))
    session.close()


def test_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tritonclient.grpc", None)
    with pytest.raises(SessionError, match=r"pip install 'masklet\[kserve\]'"):
        KServe("localhost:8001")
