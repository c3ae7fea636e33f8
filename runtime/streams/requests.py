"""What may be asked of a running stream's tracker between two frames, and what came of it."""

from dataclasses import dataclass

from masklet.runtime.concepts.concept import Concept
from masklet.runtime.prompts.prompts import Prompt


@dataclass(frozen=True, slots=True, eq=False)
class PromptObject:
    """Add an object, or correct one. object_id: None for a new object, which takes the next free id."""

    object_id: int | None
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class RemoveObject:
    """Stop tracking an object."""

    object_id: int


@dataclass(frozen=True, slots=True)
class UndoLast:
    """Undo the last prompt or removal that was asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class LookFor:
    """Find every instance of these concepts from the next frame on; none: track prompted objects alone.

    Everything starts anew, ids too, as in `ConceptTracker.look_for`.
    """

    concepts: tuple[Concept, ...]


StreamRequest = PromptObject | RemoveObject | UndoLast | LookFor


@dataclass(frozen=True, slots=True)
class Effect:
    """What a request did. frame: index of the first frame that shows it; object_id: of the object, if of one."""

    frame: int
    object_id: int | None = None
