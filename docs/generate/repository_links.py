"""Links of a page to files of the repository outside docs/, which the site does not hold.

In the repository they are relative, so that they work where the Markdown is read there. On the site a figure of
profiles/benchmarks/ becomes a page of its own, and any other file a link to it on GitHub.
"""

import logging
import os
import re
from pathlib import Path

FIGURES = "figures"
LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?(?=[)\s])")
log = logging.getLogger("mkdocs.hooks.repository_links")


def figure_pages(root: Path) -> dict[str, str | bytes]:
    """The measured figures and their pictures, by their path on the site."""
    folder = root / "profiles" / "benchmarks"
    pages: dict[str, str | bytes] = {f"{FIGURES}/{path.name}": path.read_text() for path in folder.glob("*.md")}
    return pages | {f"{FIGURES}/{path.name}": path.read_bytes() for path in folder.glob("*.jpg")}


def relink(markdown: str, uri: str, folder: Path, root: Path, repository: str) -> str:
    """The page with its links to files outside docs/ replaced.

    uri:    the page's path on the site.
    folder: where the page's text stands in the repository; relative links start there.
    A link to a file that is not there is logged as a warning, which fails a strict build.
    """

    def place(match: re.Match[str]) -> str:
        target, anchor = match["target"], match["anchor"] or ""
        if re.match(r"[a-z]+:", target):
            return match[0]
        path = Path(os.path.normpath(folder / target))
        figures = root / "profiles" / "benchmarks"
        if path.parent == figures and path.suffix in (".md", ".jpg") and path.exists():
            return f"{match['start']}{os.path.relpath(f'{FIGURES}/{path.name}', Path(uri).parent)}{anchor}"
        if path.is_relative_to(root / "docs") and not uri.startswith(f"{FIGURES}/"):
            page = target.removesuffix(".ipynb") + ".md" if path.suffix == ".ipynb" else target
            return f"{match['start']}{page}{anchor}"  # mkdocs itself checks it
        if not path.exists() or not path.is_relative_to(root):
            log.warning("%s: the link %s leads to no file of the repository", uri, target)
            return match[0]
        if path.is_relative_to(root / "docs"):
            return f"{match['start']}{os.path.relpath(path.relative_to(root / 'docs'), Path(uri).parent)}{anchor}"
        kind = "tree" if path.is_dir() else "blob"
        return f"{match['start']}{repository}/{kind}/main/{path.relative_to(root).as_posix()}{anchor}"

    return LINK.sub(place, markdown)
