"""env:NAME, a SOURCE that an environment variable holds: a password in it is then not on the command line."""

import os

from masklet.runtime.errors import SourceError
from masklet.runtime.sources.password import hide_password

PREFIX = "env:"


def from_environment(spec: str) -> str:
    """What the variable of env:NAME holds; any other SOURCE as it is. Raises SourceError if there is no variable."""
    if not spec.startswith(PREFIX):
        return spec
    found = os.environ.get(spec.removeprefix(PREFIX))
    if not found:
        raise SourceError(
            f"{hide_password(spec)}: this environment variable is not set; expected the name of one that holds a "
            "SOURCE, such as rtsp://USER:PASSWORD@HOST/PATH"
        )
    return found
