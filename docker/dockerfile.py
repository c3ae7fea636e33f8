"""A Dockerfile as stages of instructions, as far as those of this folder go."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

KEYWORDS = {"FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}


class DockerfileError(Exception):
    """A line that is not understood, named with its number."""


@dataclass(frozen=True)
class Instruction:
    """keyword: in capitals. text: what follows it, with continued lines joined by one space. line: from 1."""

    keyword: str
    text: str
    line: int

    def pairs(self, known: Mapping[str, str]) -> dict[str, str]:
        """The variables of an ENV; `$NAME` and `${NAME}` are taken from those that are known."""
        words = [word.partition("=") for word in shlex.split(self.text)]
        if not all(middle for _, middle, _ in words):
            raise DockerfileError(f"line {self.line}: wanted ENV NAME=VALUE, got {self.text}")
        return {
            name: re.sub(r"\$\{?(\w+)\}?", lambda found: known.get(found[1], ""), value) for name, _, value in words
        }

    def copied(self) -> tuple[str | None, list[str], str]:
        """Of a COPY: the stage that it copies from, None for the context; the sources; the target."""
        words = shlex.split(self.text)
        stage = words.pop(0).removeprefix("--from=") if words[0].startswith("--from=") else None
        if len(words) < 2 or words[0].startswith("--"):
            raise DockerfileError(f"line {self.line}: wanted COPY [--from=STAGE] SOURCE... TARGET, got {self.text}")
        return stage, words[:-1], words[-1]

    def words(self) -> list[str]:
        """The command of an ENTRYPOINT or CMD, which is a JSON array."""
        try:
            found: list[str] = json.loads(self.text)
        except json.JSONDecodeError:
            raise DockerfileError(f'line {self.line}: wanted {self.keyword} ["...", ...], got {self.text}') from None
        return found


@dataclass(frozen=True)
class Stage:
    """base: the image that it begins with. name: what COPY --from calls it; its number where it has none."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)


def parse_dockerfile(text: str) -> list[Stage]:
    """The stages of a Dockerfile, in order. Raises DockerfileError."""
    stages: list[Stage] = []
    for one in _instructions(text):
        if one.keyword == "FROM":
            found = re.fullmatch(r"(\S+)(?:\s+AS\s+(\S+))?", one.text, re.IGNORECASE)
            if found is None:
                raise DockerfileError(f"line {one.line}: wanted FROM IMAGE [AS NAME], got {one.text}")
            stages.append(Stage(found[1], found[2] or str(len(stages))))
        elif not stages:
            raise DockerfileError(f"line {one.line}: {one.keyword} stands before FROM")
        else:
            stages[-1].instructions.append(one)
    if not stages:
        raise DockerfileError("has no FROM")
    return stages


def _instructions(text: str) -> list[Instruction]:
    found: list[Instruction] = []
    begun = 0
    parts: list[str] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        begun = begun if parts else number
        parts.append(line.removesuffix("\\").strip())
        if not line.endswith("\\"):
            keyword, _, rest = " ".join(parts).partition(" ")
            if keyword.upper() not in KEYWORDS:
                raise DockerfileError(f"line {begun}: {keyword} is not known; there are {', '.join(sorted(KEYWORDS))}")
            found.append(Instruction(keyword.upper(), rest.strip(), begun))
            parts = []
    if parts:
        raise DockerfileError(f"line {begun}: the last line is continued")
    return found
