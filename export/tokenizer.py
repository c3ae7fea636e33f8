"""Writes the tokenizer of a checkpoint as one file that the tokenizers library reads without transformers."""

from masklet.runtime.errors import ExportError
from tokenizers import Tokenizer
from transformers import AutoTokenizer
from transformers.utils import cached_file

FILES = ("tokenizer.json", "vocab.json")  # a checkpoint has at least one of them


def tokenizer_file(source: str, length: int) -> bytes:
    """The tokenizer of a hub id or folder. It adds start and end, pads to `length` tokens and does not truncate.

    Raises ExportError if the checkpoint has none.
    """
    if not any(_has(source, name) for name in FILES):
        raise ExportError(
            f"{source}: has no tokenizer.json, which phrases need; save the tokenizer or processor in the same folder"
        )
    try:
        loaded = AutoTokenizer.from_pretrained(source)
        tokenizer = Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    except Exception as error:  # the library's exceptions have no common base class
        raise ExportError(f"{source}: its tokenizer cannot be read: {str(error).strip().splitlines()[0]}") from None
    tokenizer.no_truncation()
    tokenizer.enable_padding(length=length, pad_id=loaded.pad_token_id, pad_token=loaded.pad_token)
    return str(tokenizer.to_str(pretty=True)).encode()


def _has(source: str, name: str) -> bool:
    try:
        return cached_file(source, name, _raise_exceptions_for_missing_entries=False) is not None
    except OSError:
        return False
