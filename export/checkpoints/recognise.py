"""Which model a file of weights is: family, size and version, from its names and shapes."""

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from masklet.export.checkpoints.layout import Layout
from masklet.export.checkpoints.name_map import NameMap
from masklet.export.checkpoints.settings import Settings
from masklet.export.checkpoints.weights_file import Part, Tensors, read_parts
from masklet.runtime.bundle.manifest import sha256
from masklet.runtime.errors import ExportError

_LISTED = 10  # names in a message before the rest is counted
_HQ = ".hf_token."  # the token that SAM-HQ adds to a mask decoder
_LORA = ("lora_a", "lora_b", "lora_down", "lora_up", "lora.")


@dataclass(frozen=True)
class FileOptions:
    """What a user may say of a file of weights.

    family:  the layout that it is taken for; recognised where None.
    config:  the YAML file that its model was built with, for sizes that shapes do not show.
    weights: the part of a training checkpoint to take; its moving average where None and there is one.
    ignore:  patterns of names to leave out, as in a shell: a head of one's own.
    tokenizer: a file, folder or hub id with the tokenizer of a model that takes phrases; beside the file where None.
    """

    family: str | None = None
    config: Path | None = None
    weights: str | None = None
    ignore: tuple[str, ...] = ()
    tokenizer: str | None = None


@dataclass(frozen=True)
class RecognisedFile:
    """A file of weights that is known through and through: every tensor has a name of ours.

    config:  of the model, as a config.json has it.
    tensors: under our names; still in the file where its format allows it.
    taken:   what was taken of the file, in words.
    """

    path: Path
    layout: str
    config: dict[str, Any]
    tensors: Tensors
    names: NameMap = field(repr=False)
    taken: str = ""

    def __str__(self) -> str:
        return str(self.path)

    def their_names(self, ours: Iterable[str]) -> list[str]:
        """Names of ours as the file has them, each once."""
        return list(dict.fromkeys(self.names.their_name(name) for name in ours))

    def sha256(self) -> str:
        """The SHA-256 of the file."""
        return sha256(self.path)


class _Candidate(NamedTuple):
    part: Part
    layout: Layout
    prefix: str

    @property
    def averaged(self) -> int:
        """Whether it is a moving average, by the name of its part, and more surely by its prefix within it."""
        return self.part.averaged + 2 * ("ema" in self.prefix.lower())

    def own(self) -> dict[str, torch.Tensor]:
        """The tensors below the prefix, without it."""
        return {n.removeprefix(self.prefix): t for n, t in self.part.tensors.items() if n.startswith(self.prefix)}

    def strange(self, others: Iterable["_Candidate"]) -> list[str]:
        """Names that nothing is known of, but for counters and for other copies of the model in the same part."""
        copies = tuple(
            other.prefix
            for other in others
            if other.part is self.part and other.layout is self.layout and other.prefix != self.prefix
        )
        outside = [
            name
            for name, tensor in self.part.tensors.items()
            if not (name.startswith(self.prefix) or (copies and name.startswith(copies)) or _is_counter(tensor))
        ]
        return [self.prefix + name for name in self.layout.names.unmapped(self.own())] + outside


def recognise(path: Path, layouts: Sequence[Layout], options: FileOptions) -> RecognisedFile:
    """Read a file and find out what it is.

    Raises ExportError where it cannot be read, is of no layout, or has names that the layout does not know.
    """
    known = _chosen_layouts(path, layouts, options.family)
    parts = _chosen_parts(path, read_parts(path), options.weights)
    candidates = [_Candidate(p, la, prefix) for p in parts for la in known for prefix in _prefixes(p.tensors, la)]
    if not candidates:
        raise ExportError(f"{path}: {_unknown(parts, known)}")
    found = min(candidates, key=lambda c: (-c.averaged, len(c.strange(candidates))))
    _require_mapped(path, found, found.strange(candidates), options.ignore)
    own = {name: t for name, t in found.own().items() if not _ignored(found.prefix + name, options.ignore)}
    return RecognisedFile(
        path=path,
        layout=found.layout.name,
        config=_configuration(path, found.layout, own, options.config),
        tensors=found.layout.names.forward(_as_floats(path, found.layout.names.used(own))),
        names=found.layout.names,
        taken=_taken(found, parts),
    )


def _chosen_layouts(path: Path, layouts: Sequence[Layout], family: str | None) -> Sequence[Layout]:
    if family is None:
        return layouts
    if named := [layout for layout in layouts if layout.name == family]:
        return named
    raise ExportError(f"{path}: --family {family!r} is not known; there are {', '.join(la.name for la in layouts)}")


def _chosen_parts(path: Path, parts: tuple[Part, ...], name: str | None) -> tuple[Part, ...]:
    if name is None:
        return parts
    if named := tuple(part for part in parts if part.name == name):
        return named
    there = ", ".join(repr(part.name) for part in parts if part.name) or "none: the file is one dictionary of tensors"
    raise ExportError(f"{path}: has no weights {name!r}; there are {there}")


def _prefixes(tensors: Tensors, layout: Layout) -> Iterator[str]:
    """What stands before every name of a layout: `module.`, `model.`, `sam2.`, or nothing."""
    first, *others = layout.marks
    for name in tensors:
        prefix = name.removesuffix(first)
        ends = name.endswith(first) and (not prefix or prefix.endswith("."))
        if ends and all(prefix + other in tensors for other in others):
            yield prefix


def _require_mapped(path: Path, found: _Candidate, names: Iterable[str], ignore: Sequence[str]) -> None:
    """Raise ExportError for names that nothing is known of and that are not to be ignored."""
    strange = [name for name in names if not _ignored(name, ignore)]
    if not strange:
        return
    if any(mark in name.lower() for name in strange for mark in _LORA):
        raise ExportError(
            f"{path}: is a {found.layout.name} with LoRA layers that are not merged ({_some(strange)}); merge them "
            "into its weights first, in the repository that made it"
        )
    if any(_HQ in name for name in strange):
        raise ExportError(
            f"{path}: is a {found.layout.name} with the mask decoder of SAM-HQ, which is exported with SAM's ViT-B, L "
            "and H alone"
        )
    pattern = _pattern(strange[0], set(found.part.tensors) - set(strange))
    raise ExportError(
        f"{path}: is a {found.layout.name}, but nothing is known of {_some(strange)}; where these are of no use for "
        f"segmentation leave them out: --ignore '{pattern}'"
    )


def _configuration(path: Path, layout: Layout, own: Tensors, yaml: Path | None) -> dict[str, Any]:
    if yaml is not None and not layout.settings:
        raise ExportError(f"{path}: is a {layout.name}, {layout.why_none}; leave --config out")
    settings = Settings.read(yaml) if yaml is not None else Settings(stem=path.stem)
    try:
        return layout.configure({name: tuple(tensor.shape) for name, tensor in own.items()}, settings)
    except KeyError as error:
        raise ExportError(f"{path}: is not a whole {layout.name}: it lacks {error.args[0]}") from None
    except ExportError as error:
        about_yaml = yaml is not None and str(error).startswith(str(yaml))
        raise error if about_yaml else ExportError(f"{path}: {error}") from None


def _as_floats(path: Path, tensors: Tensors) -> dict[str, torch.Tensor]:
    for name, tensor in tensors.items():
        if not _is_counter(tensor) and (not tensor.is_floating_point() or tensor.element_size() < 2):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise ExportError(f"{path}: {name} is {kind}; wanted float32, float16 or bfloat16, not quantised weights")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ExportError(f"{path}: {name} holds NaN or infinite numbers; its training has diverged, or overflowed")
    return {name: tensor if _is_counter(tensor) else tensor.float() for name, tensor in tensors.items()}


def _is_counter(tensor: torch.Tensor) -> bool:
    """Whether a tensor is one whole number, such as how many batches a norm has seen."""
    return tensor.ndim == 0 and not tensor.is_floating_point()


def _unknown(parts: Sequence[Part], layouts: Sequence[Layout]) -> str:
    """What an unknown file holds, and what it is nearest to."""
    part = max(parts, key=lambda p: len(p.tensors))
    names = list(part.tensors)
    if all(any(mark in name.lower() for mark in _LORA) for name in names):
        return f"holds LoRA layers alone ({_some(names, 1)}); merge them into the model that they belong to first"
    nearest, near = None, 0
    for layout in layouts:
        known = len(names) - len(layout.names.unmapped(names))
        nearest, near = (layout, known) if known > near else (nearest, near)
    if nearest is not None and 2 * near > len(names):
        lacks = next(mark for mark in nearest.marks if mark not in part.tensors)
        return f"is not a whole {nearest.name}: {near} of its {len(names)} names are, but it lacks {lacks}"
    first = names[0]
    return (
        f"is of an unknown model: {len(names)} tensors, the first is {first} {list(part.tensors[first].shape)}; "
        f"known are {', '.join(layout.name for layout in layouts)}"
    )


def _taken(found: _Candidate, parts: Sequence[Part]) -> str:
    averages = [part for part in parts if part.averaged or found.averaged]
    others = [repr(part.name) for part in averages if part.path and part is not found.part]
    named = f"its {found.part.name!r}" if found.part.path else "its tensors"
    prefix = f" below {found.prefix!r}" if found.prefix else ""
    beside = f", not {', '.join(others)}" if others else ""
    return f"{found.layout.name}: {named}{prefix}{beside}"


def _ignored(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _pattern(name: str, others: Iterable[str]) -> str:
    """The widest pattern from the beginning of a name that takes none of the others."""
    parts = name.split(".")
    beginnings = [".".join(parts[:count]) + "." for count in range(1, len(parts))]
    return next((b + "*" for b in beginnings if not any(other.startswith(b) for other in others)), name)


def _some(names: Sequence[str], most: int = _LISTED) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
