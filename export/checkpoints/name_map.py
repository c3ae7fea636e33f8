"""The names of a model's tensors in its authors' files, and ours: rules in a TOML file beside the family.

    [names]       their name = ours
    [cut]         their name = ours, several: cut along the first axis in equal parts
    [copied]      their name = ours, several: each is the whole
    [transposed]  their name = ours, rows and columns exchanged
    [without_first] their name = ours, but for the first of the second axis (the place of a class token)
    [stacked]     our name = theirs, several: put together along the first axis
    unused = []   their names that no graph needs

A name may hold `{i}`, `{j}` for numbers, `{p}` for weight, bias or a statistic of a batch norm, and `{rest}` for what
follows, where both sides have the same names from there on. Both sides of a rule hold the same placeholders, so that
every rule is read backwards as well.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources.abc import Traversable
from typing import Literal

import tomllib
import torch
from masklet.runtime.errors import SpecError

How = Literal["names", "cut", "copied", "transposed", "without_first", "stacked"]
_HOLES = {
    "{i}": r"(?P<i>\d+)",
    "{j}": r"(?P<j>\d+)",
    "{rest}": r"(?P<rest>.+)",
    "{p}": r"(?P<p>weight|bias|running_mean|running_var|num_batches_tracked)",
}


@dataclass(frozen=True)
class Rule:
    """Names on both sides, and how the tensors of the one become those of the other."""

    theirs: tuple[str, ...]
    ours: tuple[str, ...]
    how: How = "names"

    def __post_init__(self) -> None:
        holes = {frozenset(hole for hole in _HOLES if hole in name) for name in (*self.theirs, *self.ours)}
        if len(holes) != 1:
            raise SpecError(f"names {self.theirs} and {self.ours} do not hold the same placeholders")

    @cached_property
    def patterns(self) -> tuple[re.Pattern[str], re.Pattern[str]]:
        """What the first name of their side and of ours match."""
        return _pattern(self.theirs[0]), _pattern(self.ours[0])

    def forward(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """Their tensors to ours."""
        match self.how:
            case "cut":
                return list(values[0].chunk(len(self.ours)))
            case "copied":
                return values * len(self.ours)
            case "transposed":
                return [values[0].t()]
            case "without_first":
                return [values[0][:, 1:]]
            case "stacked":
                return [torch.cat(values)]
            case "names":
                return values

    def backward(self, values: list[torch.Tensor]) -> list[torch.Tensor]:
        """Our tensors to theirs."""
        match self.how:
            case "cut":
                return [torch.cat(values)]
            case "copied":
                return values[:1]
            case "transposed":
                return [values[0].t()]
            case "without_first":
                return [torch.cat([torch.zeros_like(values[0][:, :1]), values[0]], dim=1)]
            case "stacked":
                return list(values[0].chunk(len(self.theirs)))
            case "names":
                return values


@dataclass(frozen=True)
class NameMap:
    """Rules, and their names that are of no use."""

    rules: tuple[Rule, ...]
    unused: tuple[str, ...] = ()

    @classmethod
    def read(cls, file: Traversable) -> "NameMap":
        """Read a TOML file of rules."""
        table = tomllib.loads(file.read_text())
        single: tuple[How, ...] = ("names", "transposed", "without_first")
        several: tuple[How, ...] = ("cut", "copied")
        rules = [Rule((theirs,), (ours,), how) for how in single for theirs, ours in table.get(how, {}).items()]
        rules += [Rule((theirs,), tuple(ours), how) for how in several for theirs, ours in table.get(how, {}).items()]
        rules += [Rule(tuple(theirs), (ours,), "stacked") for ours, theirs in table.get("stacked", {}).items()]
        return cls(tuple(rules), tuple(table.get("unused", ())))

    def __add__(self, other: "NameMap") -> "NameMap":
        return NameMap(self.rules + other.rules, self.unused + other.unused)

    def under(self, theirs: str, ours: str) -> "NameMap":
        """The same with a prefix before every name."""
        rules = (
            Rule(tuple(theirs + name for name in r.theirs), tuple(ours + name for name in r.ours), r.how)
            for r in self.rules
        )
        return NameMap(tuple(rules), tuple(theirs + name for name in self.unused))

    def unmapped(self, theirs: Iterable[str]) -> list[str]:
        """Their names that no rule takes, in the order given."""
        names = list(theirs)
        taken = {name for sources, _, _ in self._matches(names, theirs=True) for name in sources}
        unused = [_pattern(name) for name in self.unused]
        return [name for name in names if name not in taken and not any(p.fullmatch(name) for p in unused)]

    def used(self, theirs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors but for those of no use."""
        unused = [_pattern(name) for name in self.unused]
        return {name: tensor for name, tensor in theirs.items() if not any(p.fullmatch(name) for p in unused)}

    def forward(self, theirs: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors under their names to tensors under ours. What lacks a part of what a rule wants is left out."""
        result: dict[str, torch.Tensor] = {}
        for sources, targets, rule in self._matches(theirs, theirs=True):
            if all(name in theirs for name in sources):
                result.update(zip(targets, rule.forward([theirs[name] for name in sources]), strict=True))
        return result

    def backward(self, ours: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Tensors under our names to tensors under theirs."""
        result: dict[str, torch.Tensor] = {}
        for sources, targets, rule in self._matches(ours, theirs=False):
            result.update(zip(targets, rule.backward([ours[name] for name in sources]), strict=True))
        return result

    def their_name(self, ours: str) -> str:
        """What a tensor of ours is called, or is part of, in their files; our name where no rule has it."""
        for rule in self.rules:
            for name in rule.ours:
                if match := _pattern(name).fullmatch(ours):
                    return _filled(rule.theirs[0], match)
        return ours

    def _matches(
        self, names: Iterable[str], *, theirs: bool
    ) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], Rule]]:
        """For each rule and each name that it takes: the names that go in, those that come out, and the rule."""
        names = list(names)
        for rule in self.rules:
            pattern = rule.patterns[0 if theirs else 1]
            sources, targets = (rule.theirs, rule.ours) if theirs else (rule.ours, rule.theirs)
            for name in names:
                if match := pattern.fullmatch(name):
                    yield tuple(_filled(s, match) for s in sources), tuple(_filled(t, match) for t in targets), rule


def _pattern(name: str) -> re.Pattern[str]:
    text = re.escape(name)
    for hole, pattern in _HOLES.items():
        text = text.replace(re.escape(hole), pattern)
    return re.compile(text)


def _filled(name: str, match: re.Match[str]) -> str:
    for hole, value in match.groupdict().items():
        name = name.replace("{" + hole + "}", value)
    return name
