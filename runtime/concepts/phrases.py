"""Phrases as model inputs: tokens, and features that are computed once per phrase."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from masklet.runtime.backends.sessions import Sessions
from masklet.runtime.errors import BundleError, PromptError
from masklet.runtime.pixels.geometry import F32
from masklet.runtime.prompts.prompts import I64

if TYPE_CHECKING:
    from pathlib import Path

REMEMBERED = 1024  # phrases whose features are cached; 32 KB each in the released models


class PhraseTokenizer:
    """The tokenizer of the bundle. length: number of tokens of the text encoder, including start and end."""

    def __init__(self, path: "Path", length: int) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError:
            raise BundleError("phrases need the package tokenizers; pip install 'masklet[text]'") from None
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises nothing more specific
            raise BundleError(f"{path}: cannot be read as a tokenizer: {error}") from None
        self._length = length

    def encode(self, phrase: str) -> tuple[I64, F32]:
        """Tokens [length] of a phrase, and which of them are not padding.

        Raises PromptError if the phrase is too long, or has characters that the tokenizer can only represent as bytes:
        the model was not trained on those.
        """
        encoding = self._tokenizer.encode(phrase)
        used = int(sum(encoding.attention_mask))
        if used > self._length:
            raise PromptError(
                f"the phrase {shortened(phrase)!r} is {used - 2} tokens long; the model reads {self._length - 2}: "
                "use fewer words"
            )
        strange = _strange(phrase, encoding, self._tokenizer.model.unk_token)
        if strange:
            raise PromptError(
                f"the phrase {shortened(phrase)!r}: the model does not read {strange!r}; describe it in English"
            )
        tokens, valid = np.zeros(self._length, np.int64), np.zeros(self._length, np.float32)
        count = min(len(encoding.ids), self._length)
        tokens[:count], valid[:count] = encoding.ids[:count], encoding.attention_mask[:count]
        return tokens, valid


def shortened(phrase: str, most: int = 40) -> str:
    """A phrase, shortened for a message."""
    return phrase if len(phrase) <= most else phrase[: most - 3] + "..."


def _strange(phrase: str, encoding: Any, unknown: str | None) -> str:
    """The characters of a phrase that no token covers completely, without duplicates.

    unknown: the token for unknown text.
    A byte-level vocabulary can represent every character, but a character that it splits is one that it was not trained
    on. Other vocabularies leave such a character out, or replace it by the unknown token.
    """
    pieces = [0] * len(phrase)
    for (begin, end), token in zip(encoding.offsets, encoding.tokens, strict=True):
        for place in range(begin, end):
            pieces[place] += 2 if token == unknown else 1
    return "".join(dict.fromkeys(c for c, n in zip(phrase, pieces, strict=True) if n != 1 and not c.isspace()))


@dataclass(frozen=True, slots=True, eq=False)
class PhraseFeatures:
    """Inputs of the detector for a phrase: text_feat [tokens, channels], valid [tokens] with 0 for padding."""

    text_feat: F32
    valid: F32


class PhraseEncoder:
    """Encodes phrases and caches the latest ones. Everything that uses the same sessions shares it."""

    def __init__(self, sessions: Sessions, tokenizer: PhraseTokenizer) -> None:
        self._sessions, self._tokenizer = sessions, tokenizer
        self._known: OrderedDict[str, PhraseFeatures] = OrderedDict()

    def encode(self, phrases: Sequence[str]) -> list[PhraseFeatures]:
        """Features of phrases, in the given order. Raises PromptError for a phrase that the model cannot read."""
        new = [phrase for phrase in dict.fromkeys(phrases) if phrase not in self._known]
        if new:
            tokens, valid = (np.stack(parts) for parts in zip(*map(self._tokenizer.encode, new), strict=True))
            features = self._sessions.run("text_encoder", {"text_ids": tokens, "text_valid": valid})["text_feat"]
            self._known.update({p: PhraseFeatures(features[n], valid[n]) for n, p in enumerate(new)})
        found = [self._known[phrase] for phrase in phrases]
        for phrase in phrases:
            self._known.move_to_end(phrase)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return found
