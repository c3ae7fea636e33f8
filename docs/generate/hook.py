"""The hook of mkdocs.yml: pages that the program writes about itself, and links that leave docs/.

Everything here runs when the site is built (`make docs`); nothing that it makes is committed.
"""

from pathlib import Path

from command_pages import command_pages
from format_pages import format_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from name_pages import name_pages
from notebooks import notebook_pages
from pipeline_pages import pipeline_pages
from repository_links import FIGURES, figure_pages, relink
from rooms import picture, table

ROOT = Path(__file__).parent.parent.parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and the picture of the rooms."""
    written = (command_pages(), name_pages(), format_pages(), pipeline_pages(), notebook_pages(), figure_pages(ROOT))
    for pages in written:
        for uri, content in pages.items():
            files.append(File.generated(config, uri, content=content))
    files.append(File.generated(config, "explanation/rooms.svg", content=picture(ROOT)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to their page here, or on GitHub; fill in the rooms."""
    markdown = markdown.replace("<!-- rooms -->", table(ROOT, "runtime"))
    uri = page.file.src_uri
    folder = ROOT / "profiles" / "benchmarks" if uri.startswith(f"{FIGURES}/") else (ROOT / "docs" / uri).parent
    return relink(markdown, uri, folder, ROOT, str(config.extra["repository"]).rstrip("/"))
