"""Executes the steps of a Dockerfile in a clean root, where no builder is at hand; then runs the image's command in it.

    python docker/rehearse.py docker/cpu.Dockerfile

As root, on Debian or Ubuntu, with debootstrap (apt-get install debootstrap). Bases are debian:SUITE and
debian:SUITE-slim. The command runs as the image's user, in a root that is read-only, with an empty /tmp. Needs a few
minutes and 3 GB below --folder, which are gone afterwards; mounts are in a namespace of their own and end with it.

What this machine needs to reach packages is lent to the steps, and not to the command: sources, settings and
certificates of apt, settings of pip and the local folders that they name, and the variables of proxies.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dockerfile import DockerfileError, Instruction, Stage, parse_dockerfile

CONTEXT = Path(__file__).parents[1]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LENT_FILES = ("apt/sources.list", "apt/sources.list.d", "apt/apt.conf.d", "apt/keyrings", "hosts", "resolv.conf")
LENT = "lent"  # folder in the root for what variables name
LENT_VARIABLES = re.compile(r"(PIP|SSL)_\w+|\w+_PROXY|\w+_CA_BUNDLE", re.IGNORECASE)
BASE = re.compile(r"debian:([a-z]+)(-slim)?")
WIDTH, LAST_LINES = 100, 40  # of what is printed of a step, and of one that failed


class StepError(Exception):
    """A step failed."""


@dataclass
class Image:
    """What a stage has become. root: its files; the rest is what its instructions set."""

    root: Path
    variables: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    user: str = "0"
    folder: str = "/"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)

    def run(self, words: Sequence[str], lent: dict[str, str], *, shown: bool = False) -> None:
        """Run a command in the root. lent: variables besides those of the image. shown: with what it prints."""
        accounts = [line.split(":") for line in (self.root / "etc/passwd").read_text().splitlines()]
        home = next((one[5] for one in accounts if self.user in (one[0], one[2])), "/")
        inside = ["chroot", f"--userspec={self.user}", str(self.root), "env", f"--chdir={self.folder}", *words]
        call(inside, {**lent, "HOME": home, **self.variables}, shown=shown)


def rehearse(stages: Sequence[Stage], folder: Path) -> None:
    """Make every stage below a folder, and run the command of the last one."""
    bases: dict[str, Path] = {}
    images: dict[str, Image] = {}
    for stage in stages:
        if stage.base not in bases:
            with told(f"FROM {stage.base}"):
                bases[stage.base] = debootstrap(stage.base, folder / f"base{len(bases)}")
        image = Image(folder / stage.name)
        call(["cp", "-a", str(bases[stage.base]), str(image.root)])
        lent = lend(image.root)
        for one in stage.instructions:
            with told(f"{stage.name}: {one.keyword} {one.text}"):
                execute(one, image, images, lent)
        images[stage.name] = image
    run_read_only(images[stages[-1].name])


def debootstrap(base: str, root: Path) -> Path:
    """A minimal Debian, from the mirror that apt uses here. Raises DockerfileError for other bases."""
    found = BASE.fullmatch(base)
    if found is None:
        raise DockerfileError(f"FROM {base}: only debian:SUITE and debian:SUITE-slim are made here")
    folder = Path("/etc/apt/sources.list.d")
    lists = [Path("/etc/apt/sources.list"), *folder.glob("*.list"), *folder.glob("*.sources")]
    named = re.search(r"https?://\S+/debian/?(?=\s)", "\n".join(path.read_text() for path in lists if path.exists()))
    mirror = [named[0]] if named else []
    call(["debootstrap", "--variant=minbase", found[1], str(root), *mirror])
    return root


def lend(root: Path) -> dict[str, str]:
    """Mount what packages are reached with, and return the variables for it."""
    for name, kind in (("proc", "proc"), ("sys", "sysfs")):
        call(["mount", "-t", kind, kind, str(root / name)])
    call(["mount", "--rbind", "/dev", str(root / "dev")])
    config = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
    settings = dict(re.findall(r"^(?:global|install|:env:)\.(\S+?)='(.*)'$", config, re.M))
    variables = {name: value for name, value in os.environ.items() if LENT_VARIABLES.fullmatch(name)}
    variables |= {f"PIP_{name.upper().replace('-', '_')}": value for name, value in settings.items()}
    (root / "etc/apt/sources.list").unlink(missing_ok=True)  # debootstrap's
    for path in (Path("/etc") / name for name in LENT_FILES):
        if path.exists():
            _mount(path.resolve(), root / path.relative_to("/"))
    return {name: " ".join(_lent(word, root) for word in value.split()) for name, value in variables.items()}


def _lent(word: str, root: Path) -> str:
    """A word of a variable; a file or folder of this machine that it names is shown beside what the steps write."""
    path = Path(word.removeprefix("file://"))
    if not path.is_absolute() or not path.exists():
        return word
    shown = path.parent if word.startswith("file://") else path  # the pages of an index link to files beside them
    place = root / LENT / shown.relative_to("/")
    if not place.exists():
        _mount(shown.resolve(), place)
    return word.replace(str(path), f"/{LENT}{path}")


def execute(one: Instruction, image: Image, images: dict[str, Image], lent: dict[str, str]) -> None:
    """Carry out an instruction."""
    if one.keyword == "RUN":
        image.run(["sh", "-c", one.text], lent)
    elif one.keyword == "COPY":
        stage, sources, target = one.copied()
        place = image.root / target.strip("/")
        for source in sources:
            origin = (images[stage].root if stage else CONTEXT) / source.strip("/")
            into = place / origin.name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            call(["cp", "-a", "--no-target-directory", str(origin), str(into)])
            if stage is None:
                call(["chown", "-R", "0:0", str(into)])
    elif one.keyword == "ENV":
        image.variables |= one.pairs(image.variables)
    elif one.keyword == "USER":
        image.user = one.text
    elif one.keyword == "WORKDIR":
        image.folder = one.text
        (image.root / one.text.strip("/")).mkdir(parents=True, exist_ok=True)
    elif one.keyword == "ENTRYPOINT":
        image.entry = one.words()
    elif one.keyword == "CMD":
        image.command = one.words()


def run_read_only(image: Image) -> None:
    """Run the image's command as its user, in a root that cannot be written, without what was lent."""
    bare = Image(image.root.with_name("run"), image.variables, image.user, image.folder)
    bare.root.mkdir()
    call(["mount", "--bind", str(image.root), str(bare.root)])
    call(["mount", "-o", "remount,bind,ro", str(bare.root)])
    for name, kind in (("tmp", "tmpfs"), ("proc", "proc")):
        call(["mount", "-t", kind, kind, str(bare.root / name)])
    call(["mount", "--rbind", "/dev", str(bare.root / "dev")])
    with told("the root is read-only, /tmp is not"):
        bare.run(["sh", "-c", 'touch /tmp/new && ! touch "$HOME/new"'], {})
    with told(f"as user {image.user}: {' '.join([*image.entry, *image.command])}"):
        bare.run([*image.entry, *image.command], {}, shown=True)
    size = call(["du", "-sxm", str(bare.root)]).split()[0]
    print(f"done; the image's files take {size} MB")


def call(words: Sequence[str], variables: dict[str, str] | None = None, *, shown: bool = False) -> str:
    """Run a command and return what it printed. Raises StepError with its last lines if it fails."""
    done = subprocess.run(words, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if shown:
        print(done.stdout, end="", flush=True)
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LAST_LINES:])
        raise StepError(f"{' '.join(words)}: ended with {done.returncode}\n{last}")
    return done.stdout


@contextmanager
def told(step: str) -> Iterator[None]:
    """Say what is done, and how long it took."""
    print(step if len(step) <= WIDTH else f"{step[:WIDTH]}...", flush=True)
    began = time.monotonic()
    yield
    print(f"    {time.monotonic() - began:.0f} s", flush=True)


def _mount(path: Path, place: Path) -> None:
    """Show a file or folder of this machine in a root, read-only."""
    if path.is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.touch()
    call(["mount", "--bind", str(path), str(place)])
    call(["mount", "-o", "remount,bind,ro", str(place)])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--folder", type=Path, help="where the roots are made; they are removed at the end")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # the same, in a namespace of mounts
    given = parser.parse_args()
    try:
        stages = parse_dockerfile(given.dockerfile.read_text())
        if given.inside:
            rehearse(stages, given.inside)
            return
        missing = [tool for tool in ("debootstrap", "unshare", "chroot") if shutil.which(tool) is None]
        if os.geteuid() or missing:
            raise StepError(f"is run as root, with debootstrap; missing: {', '.join(missing) or 'root'}")
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            again = [sys.executable, __file__, str(given.dockerfile), "--inside", folder]
            sys.exit(subprocess.run(["unshare", "--mount", *again]).returncode)
    except (DockerfileError, StepError, OSError) as error:
        sys.exit(f"{given.dockerfile}: {error}")


if __name__ == "__main__":
    main()
