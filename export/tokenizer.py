"""Writes the tokenizer of a checkpoint as one file that the tokenizers library reads without transformers."""

import gzip
from pathlib import Path
from typing import Any

from masklet.export.checkpoints.recognise import RecognisedFile
from masklet.runtime.errors import ExportError
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoTokenizer, CLIPTokenizer
from transformers.utils import cached_file

FILES = ("tokenizer.json", "vocab.json")  # a checkpoint has at least one of them
CLIP_MERGES = "bpe_simple_vocab_16e6.txt.gz"  # of CLIP, as Meta's repository has it in sam3/assets
_MERGES = 49152 - 256 - 2  # of its lines, as many as are used (sam3/model/tokenizer_ve.py)


def tokenizer_of(source: str | RecognisedFile, given: str | None) -> str:
    """Where the tokenizer of a checkpoint is: given by the user, beside a file of weights, or with the checkpoint.

    Raises ExportError if a file of weights has none beside it.
    """
    if isinstance(source, str):
        return source
    if given is not None:
        return given
    for folder in (source.path.parent, source.path.parent / "assets"):
        if any((folder / name).is_file() for name in FILES):
            return str(folder)
        if (folder / CLIP_MERGES).is_file():
            return str(folder / CLIP_MERGES)
    raise ExportError(
        f"{source}: a file of weights has no tokenizer, which phrases need; put {CLIP_MERGES} of Meta's repository "
        "beside it, or give --tokenizer with that file, a folder with tokenizer.json, or a hub id"
    )


def tokenizer_file(source: str, length: int) -> bytes:
    """The tokenizer of a hub id, a folder, or CLIP's file of merges.

    It adds start and end, pads to `length` tokens and does not truncate.

    Raises ExportError if there is none.
    """
    if not Path(source).is_file() and not any(_has(source, name) for name in FILES):
        raise ExportError(
            f"{source}: has no tokenizer.json, which phrases need; save the tokenizer or processor in the same folder"
        )
    try:
        loaded = _from_merges(Path(source)) if Path(source).is_file() else AutoTokenizer.from_pretrained(source)
        tokenizer = Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    except Exception as error:  # the library's exceptions have no common base class
        raise ExportError(f"{source}: its tokenizer cannot be read: {str(error).strip().splitlines()[0]}") from None
    tokenizer.no_truncation()
    tokenizer.enable_padding(length=length, pad_id=loaded.pad_token_id, pad_token=loaded.pad_token)
    return str(tokenizer.to_str(pretty=True)).encode()


def _from_merges(path: Path) -> Any:
    """CLIP's tokenizer: bytes, bytes that end a word, a token for each merge, start and end."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        lines = file.read().split("\n")[1 : _MERGES + 1]
    merges = [(first, second) for first, _, second in (line.partition(" ") for line in lines if line)]
    # Bytes that print stand for themselves and come first; the others follow in their own order.
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(first + second for first, second in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: number for number, token in enumerate(tokens)}, merges=merges)


def _has(source: str, name: str) -> bool:
    try:
        return cached_file(source, name, _raise_exceptions_for_missing_entries=False) is not None
    except OSError:
        return False
