"""Choices that were made, in the user's cache: a file for each bundle, machine and number of threads."""

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from masklet.runtime.backends.user_cache import cache_folder
from masklet.runtime.bundle.bundle import Bundle

SCHEMA = 1
FOLDER = "placements"
LIBRARIES = ("masklet", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt-rtx")
ENDS = 2  # so often may a process end while a candidate is tried, until it is no longer: once may be Ctrl-C


class Machine(msgspec.Struct, frozen=True):
    """What a choice holds for. cpu: its name and what it computes in; libraries: their releases."""

    cpu: str
    threads: int
    libraries: dict[str, str]

    @property
    def where(self) -> str:
        """The machine without the releases."""
        return f"{self.cpu}, {self.threads} threads"


class Choice(msgspec.Struct, frozen=True):
    """What runs a stage.

    chosen:   the form, such as openvino:bf16. precision: what it computes in.
    objects:  most objects of a call that it was chosen for; 0 for a stage without.
    sizes:    of the feeds that were timed.
    ms:       of the fastest call of each form. out: why other forms have none.
    """

    stage: str
    chosen: str
    precision: str
    objects: int
    sizes: dict[str, int]
    ms: dict[str, float]
    out: dict[str, str]


class Placement(msgspec.Struct):
    """A file of choices. ended: how often a process ended while a form was tried, by stage and form."""

    bundle: str
    machine: Machine
    choices: list[Choice] = []
    ended: dict[str, int] = {}
    schema: int = SCHEMA


class KeptChoices:
    """The choices for a bundle here.

    remark: one line about what was found on disk and is not used; None where there is nothing to say.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self._manifest = _hash(bundle)
        self.path = cache_folder(FOLDER) / f"{self._manifest[:16]}-{_short(this_machine(threads).where)}.json"
        self.remark: str | None = None
        fresh = Placement(self._manifest, this_machine(threads))
        self._placement = self._read(fresh) or fresh

    def of(self, stage: str, objects: int) -> Choice | None:
        """The choice for a stage and so many objects a call; None where there is none yet."""
        fits = (c for c in self._placement.choices if c.stage == stage and c.objects == objects)
        return next(fits, None)

    def of_any_size(self, stage: str) -> str | None:
        """The form that was chosen for a stage, where it is the same for every number of objects; None otherwise."""
        chosen = {c.chosen for c in self._placement.choices if c.stage == stage}
        return next(iter(chosen)) if len(chosen) == 1 else None

    def keep(self, choice: Choice) -> None:
        """Keep a choice in place of an earlier one."""
        others = [c for c in self._placement.choices if (c.stage, c.objects) != (choice.stage, choice.objects)]
        self._placement.choices = [*others, choice]
        self._write()

    def drop(self, stage: str) -> None:
        """Forget what was chosen for a stage."""
        self._placement.choices = [c for c in self._placement.choices if c.stage != stage]
        self._write()

    def ended_too_often(self, stage: str, form: str) -> bool:
        """Whether processes ended while a form was tried for a stage."""
        return self._placement.ended.get(f"{stage} {form}", 0) >= ENDS

    @contextmanager
    def trying(self, stage: str, form: str) -> Iterator[None]:
        """Around the first use of a form: a crash of its library is known of by the next run."""
        key, ended = f"{stage} {form}", self._placement.ended
        before = ended.get(key, 0)
        ended[key] = before + 1
        self._write()
        try:
            yield
        finally:
            ended[key] = before
            if not before:
                del ended[key]

    def _read(self, fresh: Placement) -> Placement | None:
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=Placement)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            self.remark = f"{self.path}: damaged ({' '.join(str(error).split())}), so stages are timed again"
            return None
        if found.schema != SCHEMA or found.bundle != fresh.bundle:
            self.remark = f"{self.path}: of another masklet or bundle, so stages are timed again"
            return None
        if found.machine.where != fresh.machine.where:
            self.remark = f"{self.path}: of another machine ({found.machine.where}), so stages are timed again"
            return None
        if found.machine != fresh.machine:
            self.remark = f"{_news(found.machine.libraries, fresh.machine.libraries)}: stages are timed again"
            return None
        return found

    def _write(self) -> None:
        """Write the file whole or not at all. Where nothing can be kept, the next run chooses again."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.format(msgspec.json.encode(self._placement), indent=1) + b"\n")
            beside.replace(self.path)


def kept_placements(bundle: Bundle) -> list[Placement]:
    """All placements of a bundle that are kept, those of other machines included; damaged ones are left out."""
    found = []
    for path in sorted(cache_folder(FOLDER).glob(f"{_hash(bundle)[:16]}-*.json")):
        with suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=Placement))
    return found


def this_machine(threads: int) -> Machine:
    """This machine, as choices are kept for it."""
    libraries = {name: release for name in LIBRARIES if (release := _release(name))}
    return Machine(_cpu(), threads, libraries)


def _cpu() -> str:
    """The CPU's name, and of its flags those that decide on speed."""
    info: dict[str, str] = {}
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        info = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = (info.get("flags") or info.get("Features") or "").split()
    wide = [flag for flag in flags if flag.startswith(("avx", "amx", "sve", "bf16", "i8mm", "asimddp"))]
    name = info.get("model name") or platform.processor() or platform.machine()
    return f"{name} ({_short(' '.join(wide))})"


def _release(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _news(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    changed = [name for name in sorted({*before, *now}) if before.get(name) != now.get(name)]
    return ", ".join(f"{name} {before.get(name, 'absent')} is now {now.get(name, 'absent')}" for name in changed)


def _hash(bundle: Bundle) -> str:
    """Of the manifest, with the variant of the model that is opened as its first one."""
    return hashlib.sha256(msgspec.json.encode(bundle.manifest)).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
