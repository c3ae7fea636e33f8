"""Hides passwords in addresses and pipelines, which must not appear in a message, a log, a metric or a state file."""

import re

# Greedy up to the last @ before the path: a password may contain one.
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/\s:@]*):(?P<password>[^/\s]*)@")
# Properties of GStreamer's elements (rtspsrc, souphttpsrc, srtsrc), and parameters of cameras' addresses.
_PROPERTIES = re.compile(
    r"(?P<name>\b(?:user-pw|proxy-pw|pw|pwd|password|passphrase|token)\s*=\s*)(?P<value>\"[^\"]*\"|'[^']*'|[^\s&,;!]+)",
    re.I,
)


def hide_password(text: str) -> str:
    """The text with the password of every address, and of every property of a pipeline, replaced by three stars."""
    return _PROPERTIES.sub(r"\g<name>***", _CREDENTIALS.sub(r"\g<scheme>\g<user>:***@", text))
