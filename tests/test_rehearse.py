"""The reader of Dockerfiles by which docker/rehearse.py executes their steps; the steps themselves need root."""

import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile import KEYWORDS, DockerfileError, parse_dockerfile

DOCKER = Path(__file__).parents[1] / "docker"

TEXT = r"""# a comment
FROM debian:bookworm-slim AS build
RUN apt-get update && \
    # a comment within
    apt-get install -y  "two  words" \
    && true

COPY pyproject.toml README.md /source/
FROM debian:trixie
copy --from=build /opt/a /opt/b
ENV PATH=/opt/b/bin:$PATH NAME="a b" CACHE=${HOME}/cache
USER 1000
ENTRYPOINT ["masklet"]
CMD ["doctor", "--json"]
"""


def test_stages_and_their_instructions() -> None:
    build, final = parse_dockerfile(TEXT)
    assert [(one.base, one.name) for one in (build, final)] == [
        ("debian:bookworm-slim", "build"),
        ("debian:trixie", "1"),
    ]
    run, copy = build.instructions
    assert (run.keyword, run.line) == ("RUN", 3)
    assert run.text == 'apt-get update && apt-get install -y  "two  words" && true'
    assert copy.copied() == (None, ["pyproject.toml", "README.md"], "/source/")
    copied, env, user, entry, command = final.instructions
    assert copied.copied() == ("build", ["/opt/a"], "/opt/b")
    known = {"PATH": "/usr/bin", "HOME": "/home/m"}
    assert env.pairs(known) == {"PATH": "/opt/b/bin:/usr/bin", "NAME": "a b", "CACHE": "/home/m/cache"}
    assert (user.text, entry.words(), command.words()) == ("1000", ["masklet"], ["doctor", "--json"])


@pytest.mark.parametrize("path", sorted(DOCKER.glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_our_own_are_understood(path: Path) -> None:
    stages = parse_dockerfile(path.read_text())
    for stage in stages:
        for one in stage.instructions:
            assert one.keyword in KEYWORDS
            if one.keyword == "COPY":
                origin, sources, _ = one.copied()
                assert origin in (None, *(other.name for other in stages))
                assert sources
            if one.keyword in ("ENTRYPOINT", "CMD"):
                assert one.words()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has no FROM"),
        ("RUN true", "line 1: RUN stands before FROM"),
        ("FROM a b c", "line 1: wanted FROM IMAGE"),
        ("FROM a\n\nSHELL x", "line 3: SHELL is not known"),
        ("FROM a\nRUN x \\\n", "line 2: the last line is continued"),
    ],
)
def test_what_is_not_understood_is_named(text: str, says: str) -> None:
    with pytest.raises(DockerfileError, match=says):
        parse_dockerfile(text)


@pytest.mark.parametrize("line", ["ENV NAME value", "COPY --chown=1 a b", "COPY a", 'CMD ["a"'])
def test_an_instruction_that_is_not_understood_is_named(line: str) -> None:
    (stage,) = parse_dockerfile(f"FROM a\n{line}")
    (one,) = stage.instructions
    read = {"ENV": lambda: one.pairs({}), "COPY": one.copied, "CMD": one.words}[one.keyword]
    with pytest.raises(DockerfileError, match="line 2: wanted"):
        read()


def test_a_dockerfile_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM a\nSHELL x")
    for given in (path, tmp_path / "none"):
        done = subprocess.run([sys.executable, DOCKER / "rehearse.py", given], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
        assert done.stderr.startswith(f"{given}: ")
