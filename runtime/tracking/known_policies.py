"""Finds the memory policies, in tracking/policies/; no registration is needed."""

import importlib
import pkgutil
from contextlib import suppress
from dataclasses import fields
from typing import Any

import msgspec
from masklet.runtime.bundle.spec import MemorySpec, ModelSpec
from masklet.runtime.errors import PolicyError, PromptError
from masklet.runtime.tracking import policies
from masklet.runtime.tracking.memory_detail import usual_tokens
from masklet.runtime.tracking.memory_policy import MemoryPolicy, PolicyOptions
from masklet.runtime.tracking.policies.sam2 import Sam2Options
from masklet.runtime.tracking.policies.sam3 import Sam3Options

Memory = str | PolicyOptions | None
"""A policy as users give it: NAME or NAME:OPTION=VALUE,..., its options, or None for the model's own."""

VALUES: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false"}


def policy_names() -> list[str]:
    """The names of all policies."""
    return sorted(module.name for module in pkgutil.iter_modules(policies.__path__))


def policy_type(name: str) -> type[MemoryPolicy[Any, Any]]:
    """The policy of a name. Raises PolicyError listing the known ones."""
    if name not in policy_names():
        raise PolicyError(f"no memory policy {name!r}; known: {', '.join(policy_names())}")
    found: type[MemoryPolicy[Any, Any]] = importlib.import_module(f"{policies.__name__}.{name}").POLICY
    return found


def policy_of(model: ModelSpec, memory: Memory = None) -> MemoryPolicy[Any, Any]:
    """The policy for a model.

    Raises PolicyError for an unknown policy, an unknown option or one out of range, or a model without the outputs that
    the policy needs; PromptError for a model without memory.
    """
    if model.memory is None:
        raise PromptError(
            f"{model.family}/{model.variant} has no memory: it segments images, not videos; use `masklet segment`"
        )
    options = _own_options(model.memory) if memory is None else _parsed(memory) if isinstance(memory, str) else memory
    kinds = {kind.options_type: kind for kind in map(policy_type, policy_names())}
    if type(options) not in kinds:
        raise PolicyError(f"no memory policy has {options!r}; give one of {', '.join(k.__name__ for k in kinds)}")
    kind = kinds[type(options)]
    _check_served(model, kind)
    return kind(model.memory, options)


def policy_text(policy: MemoryPolicy[Any, Any]) -> str:
    """A policy as users write it: its name, and its options that differ from the defaults."""
    usual = msgspec.to_builtins(policy.options_type())
    own = msgspec.to_builtins(policy.options)
    changed = [f"{name}={msgspec.json.encode(own[name]).decode()}" for name in own if own[name] != usual[name]]
    return policy.name + (":" + ",".join(changed) if changed else "")


def bank_bytes(model: ModelSpec, memory: Memory = None) -> int:
    """Bytes of a full memory bank for one object: spatial memories and object pointers; 0 for an image model."""
    if model.memory is None:
        return 0
    slots = policy_of(model, memory).slots
    attention = {t.name: t for t in model.stage("memory_attention").inputs}
    sizes = {"objects": 1, "memories": slots.memories, "pointers": slots.pointers}
    sizes["memory_tokens"] = usual_tokens(*model.feature_hw) if model.token_memory else 0
    kept = ("memory", "memory_place", "pointers")
    return sum(attention[name].nbytes(sizes) for name in kept if name in attention)


def bank_sizes(model: ModelSpec) -> dict[str, int]:
    """Bytes of the bank of one object under each policy that fits the model; the model's own first."""
    if model.memory is None:
        return {}
    own = policy_of(model).name
    sizes = {own: bank_bytes(model)}
    for name in policy_names():
        if name != own:
            with suppress(PolicyError):
                sizes[name] = bank_bytes(model, name)
    return sizes


def _own_options(spec: MemorySpec) -> PolicyOptions:
    """The options of the model's own policy."""
    if spec.min_effective_iou is None:
        return Sam2Options()
    return Sam3Options(spec.min_effective_iou)


def _parsed(text: str) -> PolicyOptions:
    """Parse NAME or NAME:OPTION=VALUE,...; an option without a value is set to true."""
    name, _, given = text.partition(":")
    kind = policy_type(name).options_type
    known = {field.name: field.type for field in fields(kind)}
    values = {}
    for one in filter(None, given.split(",")):
        option, _, value = one.partition("=")
        if option not in known:
            raise PolicyError(
                f"memory policy {text!r}: {name} has no option {option!r}; it has {', '.join(known) or 'none'}"
            )
        if option in values:
            raise PolicyError(f"memory policy {text!r}: {option} is given twice")
        try:
            values[option] = msgspec.convert(value or "true", known[option], strict=False)
        except msgspec.ValidationError:
            wanted = VALUES[known[option]]
            raise PolicyError(f"memory policy {text!r}: {option} takes {wanted}, not {value!r}") from None
    options: PolicyOptions = kind(**values)
    return options


def _check_served(model: ModelSpec, kind: type[MemoryPolicy[Any, Any]]) -> None:
    if not kind.needs:
        return
    who = f"{model.family}/{model.variant} cannot serve the memory policy {kind.name!r}"
    if not model.prompting.multimask(0, first_prompt=False):
        raise PolicyError(f"{who}: it decodes a single mask on tracked frames, without candidates to look at")
    missing = sorted(kind.needs - {t.name for t in model.stage("mask_decoder").outputs})
    if missing:
        again = "; export it again with --candidate-pointers" if missing == ["candidate_pointers"] else ""
        raise PolicyError(f"{who}: its mask decoder does not give {' and '.join(missing)}{again}")
