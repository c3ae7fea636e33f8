"""Prompts as one line of text, in the syntax of the command line: `box 1:480,200,700,520`, `point 2:480,270`."""

from dataclasses import dataclass

from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Prompt
from masklet.runtime.prompts.syntax import parse_prompts

KINDS = ("point", "negative", "box", "mask")


@dataclass(frozen=True)
class Wish:
    """What a line asks for: prompts by object id for the next frame, and objects to remove before it."""

    prompts: dict[int, Prompt]
    removed: tuple[int, ...] = ()


def parse_wish(text: str) -> Wish:
    """Read a line: a kind of prompt and its value, or `remove ID`. Raises PromptError."""
    kind, _, value = text.strip().partition(" ")
    if kind == "remove" and value.strip().isdecimal():
        return Wish({}, (int(value),))
    if kind not in KINDS or not value.strip():
        raise PromptError(
            f"{text!r}: expected {', '.join(KINDS)} and a value, such as box 1:480,200,700,520, or remove 1"
        )
    values = {one: [value.strip()] if one == kind else [] for one in KINDS}
    schedule = parse_prompts(
        points=values["point"], negatives=values["negative"], boxes=values["box"], masks=values["mask"]
    )
    if set(schedule) != {0}:
        raise PromptError(f"{text!r}: a prompt is for the next frame; leave out @FRAME")
    return Wish(dict(schedule[0]))
