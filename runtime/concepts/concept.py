"""A concept to search for: a phrase, and boxes around examples of it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from masklet.runtime.errors import PromptError
from masklet.runtime.prompts.prompts import Box, check_prompt

_SIGN = {"+": True, "-": False}


@dataclass(frozen=True, slots=True, eq=False)
class Exemplar:
    """A box around an example of the concept, or around a counterexample, in source pixels."""

    box: Box
    positive: bool = True

    def __post_init__(self) -> None:
        if self.box.points is not None:
            raise PromptError("an exemplar is a box without points; points correct a single object, by its id")


@dataclass(frozen=True, slots=True, eq=False)
class Concept:
    """A phrase, exemplars, or both. With exemplars only, the phrase is the model's own word for them.

    Raises PromptError if the phrase has no word, or if there is neither phrase nor exemplar.
    """

    phrase: str | None = None
    exemplars: tuple[Exemplar, ...] = ()

    def __post_init__(self) -> None:
        if self.phrase is not None and not self.phrase.strip():
            raise PromptError(
                f"the phrase {self.phrase!r} is empty; name what to search for, such as 'yellow school bus'"
            )
        if self.phrase is None and not self.exemplars:
            raise PromptError("nothing to search for: give a phrase, or boxes around examples")

    @property
    def name(self) -> str:
        """The name of the concept in results and messages."""
        return self.phrase if self.phrase is not None else "exemplars"

    def check(self, source_hw: tuple[int, int]) -> None:
        """Raise PromptError if an exemplar reaches beyond the frame. source_hw: height and width of it in pixels."""
        for exemplar in self.exemplars:
            try:
                check_prompt(exemplar.box, source_hw)
            except PromptError as error:
                raise PromptError(f"exemplar: {error}") from None


def concepts_of(wanted: Concept | str | Iterable[Concept | str]) -> tuple[Concept, ...]:
    """Turn phrases and concepts into concepts. Raises PromptError if there is none, or a phrase occurs twice."""
    several = [wanted] if isinstance(wanted, Concept | str) else list(wanted)
    found = tuple(one if isinstance(one, Concept) else Concept(one) for one in several)
    if not found:
        raise PromptError("nothing to search for: give a phrase, or boxes around examples")
    names = [one.name for one in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PromptError(f"{twice!r} is given twice; give each phrase once")
    return found


def parse_concepts(texts: Sequence[str], exemplars: Sequence[str]) -> tuple[Concept, ...]:
    """Read the values of --text and --exemplar ([+|-]X0,Y0,X1,Y1). Returns no concept if both are empty.

    Raises PromptError naming the option and its value, or if exemplars could belong to several phrases.
    """
    boxes = tuple(_exemplar(text) for text in exemplars)
    if boxes and len(texts) > 1:
        raise PromptError(f"--exemplar: ambiguous with {len(texts)} phrases; give it with one --text, or with none")
    if boxes:
        return (Concept(texts[0] if texts else None, boxes),)
    return concepts_of(texts) if texts else ()


def _exemplar(text: str) -> Exemplar:
    match = re.fullmatch(r"([+-]?)(.*)", text, re.DOTALL)
    sign, rest = match.groups() if match else ("", text)
    try:
        corners = [float(part) for part in rest.split(",")]
    except ValueError:
        corners = []
    if len(corners) != 4:
        raise PromptError(f"--exemplar {text}: expected [+|-]X0,Y0,X1,Y1 in pixels, such as +10,20,110,220")
    try:
        x0, y0, x1, y1 = corners
        return Exemplar(Box(x0, y0, x1, y1), _SIGN.get(sign, True))
    except PromptError as error:
        raise PromptError(f"--exemplar {text}: {error}") from None
