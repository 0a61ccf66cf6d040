"""Hook of MkDocs: adds generated pages, pages from outside docs/, and drawn figures to the site."""

from importlib import import_module
from pathlib import Path
from typing import Any

from docs.generator import pages
from docs.generator.experiment_pages import draw, figure_file
from docs.generator.matrix import ROOT
from stableft.core.experiments import all_experiments

DRAWN = ROOT / "build" / "site-figures"
HOME = "---\nhide: [navigation]\n---\n"
SECTIONS = {"Experiments": "experiments/", "Techniques": "techniques/", "API": "api/", "Decisions": "adr/"}


def on_config(config: Any) -> Any:
    """Lists the pages of some folders in the sections of the navigation that are named after them."""
    known = [*pages.generated_pages(), *pages.written_pages()]
    for section in config.nav:
        (title, entries), *_ = section.items()
        if folder := SECTIONS.get(title):
            entries += [path for path in known if path.startswith(folder) and path not in entries]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Adds all files that are not in docs/."""
    File: Any = import_module("mkdocs.structure.files").File  # MkDocs is there only while it calls this

    for path, text in pages.generated_pages().items():
        files.append(File.generated(config, path, content=text))
    for path, source in {"README.md": ROOT / "README.md", **pages.linked_files()}.items():
        if source.suffix == ".md":
            text = pages.with_site_links(source.read_text(encoding="utf-8"), source)
            files.append(File.generated(config, path, content=HOME + text if path == "README.md" else text))
        else:
            files.append(File.generated(config, path, abs_src_path=str(source)))
    for name in all_experiments():
        if (path := figure_file(name)) and (image := draw(name, DRAWN)):
            files.append(File.generated(config, path, abs_src_path=str(image)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Rewrites the links of a page of docs/ as if docs/ lay at the top."""
    source = Path(page.file.abs_src_path) if page.file.abs_src_path else None
    return pages.with_site_links(markdown, source) if source and source.is_relative_to(ROOT / "docs") else markdown
