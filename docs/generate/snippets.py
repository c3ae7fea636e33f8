"""The code blocks of a page, so that tests and the scripts of pictures run what the page shows."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

BLOCK = re.compile(r"^```(?P<language>\w+)[^\n]*\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
RUN = ("sh", "python")  # a block of another language, such as console, is only shown


def snippets(page: Path) -> Iterator[tuple[str, str]]:
    """Language and code of each block that runs: shell lines and Python, in order."""
    for match in BLOCK.finditer(page.read_text()):
        if match["language"] in RUN:
            yield match["language"], match["code"]


def run_snippet(language: str, code: str, folder: Path) -> str:
    """Run a block in a folder, with the commands of this Python's environment. Returns what it prints.

    Raises subprocess.CalledProcessError, with the output, if it fails.
    """
    words = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, env=os.environ | {"PATH": path}, check=False
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, code, done.stdout, done.stderr)
    return done.stdout
