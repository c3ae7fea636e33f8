"""Hides passwords in addresses, which must not appear in a message, a log, a metric or a state file."""

import re

# Greedy up to the last @ before the path: a password may contain one.
_CREDENTIALS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/\s:@]*):(?P<password>[^/\s]*)@")


def hide_password(text: str) -> str:
    """The text with the password of every address replaced by three stars."""
    return _CREDENTIALS.sub(r"\g<scheme>\g<user>:***@", text)
