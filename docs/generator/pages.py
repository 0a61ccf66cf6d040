"""Pages: all pages of the site, as if docs/ lay at the top of the repository, with links to match."""

import posixpath
import re
from pathlib import Path

from docs.generator.api_pages import api_pages
from docs.generator.experiment_pages import experiment_pages
from docs.generator.matrix import ROOT
from docs.generator.notebook_pages import notebook_pages
from docs.generator.reference_pages import reference_pages
from docs.generator.technique_pages import technique_pages

LINK = re.compile(r"(?P<before>\]\()(?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?(?=\))")
OUTSIDE = re.compile(r"[a-z]+:")  # an address of its own


def generated_pages() -> dict[str, str]:
    """Returns the pages that come from code, docstrings and results, by path in the site."""
    return experiment_pages() | technique_pages() | reference_pages() | api_pages() | notebook_pages()


def written_pages() -> dict[str, Path]:
    """Returns the files of docs/ and README.md by path in the site."""
    docs = ROOT / "docs"
    return {"README.md": ROOT / "README.md", **{path.relative_to(docs).as_posix(): path for path in sorted(docs.rglob("*.md"))}}


def site_path(path: str) -> str:
    """Returns the place in the site of a file of the repository; a notebook is a page there."""
    return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))


def with_site_links(text: str, source: Path) -> str:
    """Returns a page with its links to files as they are in the site.

    Args:
        text: The page, with links as they are in the repository.
        source: Its file in the repository.
    """
    folder = source.parent.relative_to(ROOT).as_posix()
    here = posixpath.dirname(site_path(source.relative_to(ROOT).as_posix()))

    def moved(found: re.Match[str]) -> str:
        if OUTSIDE.match(found["target"]):
            return found[0]
        target = site_path(posixpath.normpath(posixpath.join(folder, found["target"])))
        return found["before"] + posixpath.relpath(target, here or ".") + (found["anchor"] or "")

    return LINK.sub(moved, text)


def linked_files() -> dict[str, Path]:
    """Returns the files outside docs/ that a page links to, directly or by another, by path in the site."""
    found: dict[str, Path] = {}
    waiting = [*written_pages().values(), ROOT / "CLAIMS.md"]
    while waiting:
        page = waiting.pop()
        for link in LINK.finditer(page.read_text(encoding="utf-8")):
            if OUTSIDE.match(link["target"]):
                continue
            path = Path(posixpath.normpath(page.parent / link["target"]))
            name = site_path(path.relative_to(ROOT).as_posix())
            if path.is_file() and name not in found and not path.is_relative_to(ROOT / "docs") and name != "README.md":
                found[name] = path
                waiting += [path] if path.suffix == ".md" else []
    return found | {"CLAIMS.md": ROOT / "CLAIMS.md"}
