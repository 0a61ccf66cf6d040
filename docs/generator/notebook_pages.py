"""Notebook pages: the executed notebooks of docs/notebooks/ as Markdown, with their outputs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.generator.matrix import ROOT

NOTEBOOKS = ROOT / "docs" / "notebooks"


def notebook_pages() -> dict[str, str]:
    """Returns a page for each notebook, by path in the site."""
    return {f"notebooks/{path.stem}.md": notebook_page(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}


def notebook_page(path: Path) -> str:
    """Returns a notebook's texts as they are, its code and outputs as blocks, and its figures."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "\n\n".join(part for cell in cells for part in _parts(cell)) + "\n"


def _parts(cell: dict[str, Any]) -> Iterator[str]:
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
        return
    yield f"```python\n{source}\n```"
    for output in cell["outputs"]:
        shown = output.get("data", {"text/plain": output.get("text", "")})
        if "image/png" in shown:
            yield f"![Figure](data:image/png;base64,{''.join(shown['image/png']).strip()})"
        elif text := "".join(shown.get("text/plain", "")).rstrip():
            yield f"```text\n{text}\n```"
