"""A server that speaks TLS with a certificate of its own, and one that wants a token."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from masklet.runtime.backends.kserve.channel import TOKEN_VARIABLE
from masklet.runtime.bundle.bundle import Bundle
from noise_clip import write_noise
from triton_like_server import TritonLike

TOKEN = "se-cret.4711"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A certificate for this machine, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, signed = folder / "key.pem", folder / "certificate.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=here"
    subprocess.run(
        ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", signed],
        check=True,
        capture_output=True,
    )
    return signed, key.read_bytes()


@pytest.fixture
def server(bundle: Bundle, certificate: tuple[Path, bytes]) -> Iterator[TritonLike]:
    signed, key = certificate
    server = TritonLike(bundle, tls=(key, signed.read_bytes()), token=TOKEN)
    yield server
    server.stop()


def test_masks_are_those_of_a_local_run(
    nano_bundle: Path,
    server: TritonLike,
    certificate: tuple[Path, bytes],
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    words = ["run", nano_bundle, write_noise(tmp_path, 2), "--point", "40,30", "--masks"]
    there = ["--backend", "kserve", "--url", f"grpcs://{server.url}", "--server-ca", certificate[0]]
    code, out, err = cli(*words, tmp_path / "remote.jsonl", *there)
    assert code == 0, err
    assert f"toy 1 at {server.url}, TLS, shared memory" in err
    assert TOKEN not in out + err
    assert cli(*words, tmp_path / "local.jsonl", "--threads", "1")[0] == 0
    assert (tmp_path / "remote.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("token", "form", "trusts", "says"),
    [
        (None, "grpcs://{url}", True, "the server refuses: a token is missing or wrong; set MASKLET_SERVER_TOKEN"),
        ("wrong", "grpcs://{url}", True, "the server refuses: a token is missing or wrong"),
        (TOKEN, "grpcs://{url}", False, "its certificate is not trusted, or it does not speak TLS"),
        (TOKEN, "{url}", False, "the token in MASKLET_SERVER_TOKEN needs TLS"),
        (None, "{url}", True, "--server-ca needs TLS"),
        (f"{TOKEN}\nx", "grpcs://{url}", True, "MASKLET_SERVER_TOKEN: wanted letters, digits and signs without spaces"),
    ],
)
def test_refused(
    nano_bundle: Path,
    server: TritonLike,
    certificate: tuple[Path, bytes],
    tmp_path: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    token: str | None,
    form: str,
    trusts: bool,
    says: str,
) -> None:
    if token is not None:
        monkeypatch.setenv(TOKEN_VARIABLE, token)
    trusted = ["--server-ca", certificate[0]] if trusts else []
    words = ["run", nano_bundle, write_noise(tmp_path, 1), "--point", "40,30", "--server-timeout", "5", *trusted]
    code, _, err = cli(*words, "--backend", "kserve", "--url", form.format(url=server.url))
    assert (code, err.count("masklet: ")) == (2, 1), err
    assert says in err
    assert TOKEN not in err


def test_a_file_that_is_no_certificate(nano_bundle: Path, tmp_path: Path, cli: Cli) -> None:
    clip, wrong = write_noise(tmp_path, 1), tmp_path / "none.pem"
    words = ["run", nano_bundle, clip, "--point", "40,30", "--backend", "kserve", "--url", "grpcs://127.0.0.1:9"]
    code, _, err = cli(*words, "--server-ca", wrong)
    assert (code, err.count("\n")) == (2, 1), err
    assert "none.pem: cannot be read: No such file" in err
    wrong.write_text("nothing")
    assert "holds no certificate; wanted a PEM file" in cli(*words, "--server-ca", wrong)[2]
