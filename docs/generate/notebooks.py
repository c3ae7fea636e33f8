"""The notebooks: run again in place, and shown as pages of the site with their outputs.

    python docs/generate/notebooks.py [NAME...]

runs docs/notebooks/NAME.ipynb (all by default) and stores the outputs. The site does not run them.
"""

import base64
import json
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "notebooks"
LIMIT_S = 180  # for one cell


def names() -> list[str]:
    """The notebooks, in the order in which they are read."""
    return ["first-masklet", "calibrate", "profile"]


def execute(name: str, folder: Path) -> Any:
    """Run a notebook in a folder that has demos/nano, with the commands of this Python's environment.

    Returns the notebook with its outputs. Raises nbclient.exceptions.CellExecutionError if a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient

    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(notebook, timeout=LIMIT_S, resources={"metadata": {"path": str(folder)}})
    client.execute()
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if "image/jpeg" in output.get("data", {}):
                output.data.pop("image/png", None)  # ten times larger
    return notebook


def notebook_pages() -> dict[str, str | bytes]:
    """The pages of all notebooks and their pictures, by their path on the site."""
    pages: dict[str, str | bytes] = {
        "notebooks/.nav.yml": "title: Notebooks\nnav:\n" + "".join(f"  - {name}.md\n" for name in names())
    }
    for name in names():
        cells = json.loads((FOLDER / f"{name}.ipynb").read_text())["cells"]
        parts: list[str] = []
        for number, cell in enumerate(cells):
            text = "".join(cell["source"])
            parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
            for place, output in enumerate(cell.get("outputs", [])):
                picture = f"{name}-{number}-{place}.jpg"
                data = output.get("data", {})
                if "image/jpeg" in data:
                    pages[f"notebooks/{picture}"] = base64.b64decode(data["image/jpeg"])
                    parts.append(f"![Output of the cell above]({picture})")
                elif printed := "".join(output.get("text", data.get("text/plain", ""))).rstrip():
                    parts.append(f"```text\n{printed}\n```")
        source = f"This page is the notebook `docs/notebooks/{name}.ipynb` with its stored outputs."
        pages[f"notebooks/{name}.md"] = "\n\n".join([*parts, source]) + "\n"
    return pages


def main() -> None:
    """Run notebooks and store their outputs."""
    import nbformat

    for name in sys.argv[1:] or names():
        nbformat.write(execute(name, ROOT), FOLDER / f"{name}.ipynb")  # type: ignore[no-untyped-call]
        print(f"{name}: done")


if __name__ == "__main__":
    main()
