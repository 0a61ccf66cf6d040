"""README.md and docs/: generated parts are as written, links lead somewhere, numbers are those of their sources."""

import os
import posixpath
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from docs.generator import answers, api_pages, experiment_pages, pages, text
from docs.generator.hook import SECTIONS
from stableft.core.experiments import all_experiments
from stableft.core.technique import all_techniques
from stableft.reporting.published import CITATIONS

GENERATED = pages.generated_pages()
HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)
CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def documents(project: Path) -> list[Path]:
    """The committed pages that people read."""
    names = ("README.md", "CONTRIBUTING.md", "CLAIMS.md", "experiments/replication/ATTRIBUTION.md")
    return [*(project / name for name in names), *sorted((project / "docs").rglob("*.md"))]


def anchors(markdown: str) -> set[str]:
    return {text.slug(re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading)) for heading in HEADING.findall(markdown)}


def site(project: Path) -> dict[str, str]:
    """All pages of the site by path, with the links that MkDocs sees."""
    files = pages.written_pages() | {path: file for path, file in pages.linked_files().items() if file.suffix == ".md"}
    return {path: pages.with_site_links(file.read_text(encoding="utf-8"), file) for path, file in files.items()} | GENERATED


def broken(folder: str, markdown: str, exists: Any, read: Any) -> list[str]:
    """Links of a page to files that are not there, or to headings that they don't have."""
    found = []
    for link in re.finditer(r"\]\(([^)\s#]*)(?:#([^)\s]*))?\)", CODE.sub("", markdown)):
        target = posixpath.normpath(posixpath.join(folder, link[1])) if link[1] else ""
        if re.match("[a-z]+:", link[1]):
            continue
        if (target and not exists(target)) or (link[2] and link[2] not in anchors(read(target) if target else markdown)):
            found.append(link[0])
    return found


def test_the_readme_is_short_and_has_the_table_of_the_claims(project: Path) -> None:
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert len(readme.splitlines()) <= 150
    assert readme == answers.with_answers(readme, answers.answers()), "`make verify` writes it"
    with pytest.raises(ValueError, match="no place"):
        answers.with_answers("no markers", "")


def test_the_readme_counts_the_public_runs(project: Path) -> None:
    tables = (project / "results/replication").glob("*/runs.parquet")
    ids = {name for path in tables for name in pq.read_table(path, columns=["run_id"])["run_id"].to_pylist()}
    assert f"{len(ids):,} runs of BERT-large that others published" in (project / "README.md").read_text(encoding="utf-8")


def test_speeds_are_those_of_the_benchmarks(project: Path) -> None:
    said = (project / "docs/speed.md").read_text(encoding="utf-8")
    measured = (project / "benchmarks/README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?:TNEWS|RTE)-shaped, (?:fp32|bf16) \|(.*)\|$", said, flags=re.MULTILINE)
    assert len(rows) == 4
    ratios = [[f"{float(cell):.1f}" for cell in row.split("|")] for row in rows]
    found = re.findall(r"^\| [EF] stableft, packed.*?\| runs per hour \|.*$", measured, flags=re.MULTILINE)
    written = [[f"{float(number):.1f}" for number in re.findall(r"\| ([\d.]+) \(", row)] for row in found]
    assert all(any(set(row) <= set(numbers) for numbers in written) for row in ratios)


def test_links_lead_somewhere_in_the_repository(project: Path) -> None:
    found = {
        str(page): broken(
            page.parent.relative_to(project).as_posix(),
            page.read_text(encoding="utf-8"),
            lambda target: (project / target).exists(),
            lambda target: (project / target).read_text(encoding="utf-8"),
        )
        for page in documents(project)
    }
    assert not {page: links for page, links in found.items() if links}
    assert broken(
        "docs", "[a](no.md) [b](import.md#no) [c](import.md#the-table) [d](#no)", (project / "docs").joinpath, lambda _: ""
    )


def test_links_lead_somewhere_in_the_site(project: Path) -> None:
    every = site(project)
    files = {
        *every,
        *pages.linked_files(),
        *(path.relative_to(project / "docs").as_posix() for path in (project / "docs").rglob("*")),
    }
    drawn = {experiment_pages.figure_file(name) for name in all_experiments()}
    found = {
        path: broken(posixpath.dirname(path), page, lambda target: target in files | drawn, every.__getitem__)
        for path, page in every.items()
    }
    assert not {path: links for path, links in found.items() if links}


def test_all_pages_are_in_the_navigation_and_all_of_it_is_there(project: Path) -> None:
    settings = yaml.safe_load((project / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = [
        entry for section in settings["nav"] for part in section.values() for entry in ([part] if isinstance(part, str) else part)
    ]
    named = {path for entry in listed for path in ([entry] if isinstance(entry, str) else entry.values())}
    every = set(site(project))
    assert named <= every
    assert {path for path in every - named if not path.startswith(tuple(SECTIONS.values()))} == set()
    titles = {title for section in settings["nav"] for title in section}
    assert set(SECTIONS) <= titles
    assert settings["strict"] is True
    assert settings["theme"]["font"] is False


def test_every_experiment_technique_and_room_has_its_page(project: Path) -> None:
    for name, module in all_experiments().items():
        page = GENERATED[f"experiments/{name}.md"]
        assert (module.__doc__ or "").splitlines()[0] in page
        assert f"make ablation-{name}" in page
        assert "## Verdicts" in page
        assert "## Found" in page
        assert f"(figures/laptop-{name}-" in page
        assert getattr(module, "LEAD", "score_distribution") in experiment_pages.figures_of(module)
    without_results = experiment_pages.page("invented", all_experiments()["adam"], {})
    assert "There are no results yet." in without_results
    assert "![" not in without_results
    for name, kind in all_techniques().items():
        assert all(f"## {part}" in GENERATED[f"techniques/{name}.md"] for part in kind.card())
    rooms = {path.parent.name for path in (project / "stableft").glob("*/__init__.py")}
    assert set(api_pages.ROOMS) == rooms - {"cli"}


def test_reference_pages_name_everything() -> None:
    settings, codes = GENERATED["reference/settings.md"], GENERATED["reference/exit-codes.md"]
    assert all(
        f"`{name}`" in settings for name in ("adam.lr", "order_seed", "schedule.num_epochs", "evaluation.every", "surface.margin")
    )
    assert "annotation=" not in settings
    assert re.findall(r"^\| (\d+) \| \S", codes, re.MULTILINE) == ["0", "1", "2", "3", "4", "5", "69", "74", "130"]
    assert "## data fetch" in GENERATED["reference/commands.md"]
    assert "| `trajectory_sha256`" not in GENERATED["reference/columns.md"]
    assert "| `probabilities` | lists of numbers |" in GENERATED["reference/columns.md"]


def sources(project: Path) -> dict[Path, str]:
    """All that cites: code, claims and pages, each as one line without comment signs."""
    files = [path for room in ("stableft", "experiments", "tests", "docs") for path in (project / room).rglob("*.[pm][yd]")]
    found = {path: path.read_text(encoding="utf-8") for path in [*files, project / "CLAIMS.md"] if path != Path(__file__)}
    return {path: re.sub(r"\s*\n\s*(?:# )?", " ", content) for path, content in found.items()}


def test_cited_sections_of_the_protocol_exist(project: Path) -> None:
    known = text.protocol_sections()
    cited = [(path, number) for path, content in sources(project).items() for number in text.cited_sections(content)]
    assert len(cited) > 100
    assert [(path, number) for path, number in cited if number not in known] == []
    assert text.cited_sections("Protocol sections 4, 6 and 3.4. protocol section 7, S2, caveat ii") == ["4", "6", "3.4", "7"]
    informal = [label for content in sources(project).values() for label in re.findall(r"protocol section 7, (S\d)", content)]
    assert set(informal) <= set(known)


def test_figures_that_the_protocol_names_are_drawn(project: Path) -> None:
    said = (project / "docs/protocol.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+)/([a-z_0-9]+)`", said)
    assert len(named) > 30
    assert [place for place in named if place[0] != "experiments" and place[1] not in all_experiments()[place[0]].REPORT] == []


def test_sources_have_one_name_each(project: Path) -> None:
    bibtex, listed = ((project / f"docs/references.{suffix}").read_text(encoding="utf-8") for suffix in ("bib", "md"))
    assert set(CITATIONS) <= set(re.findall(r"^@\w+\{(\w+),", bibtex, re.MULTILINE))
    assert [url for url in re.findall(r"https://[^\s{}]+", bibtex) if f"({url})" not in listed] == []
    assert {"tnews-note", "commonlit-article", "head-rate-article", "replication"} <= anchors(listed)
    unnamed = re.compile(
        r"(?:first|second|third|fourth) (?:source |seed )?document|article on (?:advanced|separate|head)", re.IGNORECASE
    )
    old = {project / name for name in ("CLAIMS.md", "docs/adr/0027-documentation-site.md")}  # the first is written by `make verify`
    assert [
        (path, found[0]) for path, content in sources(project).items() if path not in old and (found := unnamed.search(content))
    ] == []


def test_the_list_of_decisions_is_whole(project: Path) -> None:
    listed = re.findall(r"^\d+\. \[(.*)\]\((.*)\)$", (project / "docs/adr/index.md").read_text(encoding="utf-8"), re.MULTILINE)
    files = sorted((project / "docs/adr").glob("0*.md"))
    titles = [path.read_text(encoding="utf-8").splitlines()[0].partition(". ")[2] for path in files]
    assert listed == list(zip(titles, [path.name for path in files], strict=True))


@pytest.mark.slow
def test_the_site_is_built_strictly_and_fetches_nothing(project: Path, tmp_path: Path) -> None:
    if find_spec("mkdocs") is None or find_spec("material") is None or find_spec("mkdocstrings") is None:
        pytest.skip("mkdocs, mkdocs-material or mkdocstrings is not installed: `make docs` installs them")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=project, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site/experiments/adam.html").is_file()
    fetched = re.compile(
        r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?https?:|<link[^>]*rel=\"?(?:stylesheet|preconnect|preload)[^>]*https?:"
    )
    for page in (tmp_path / "site").rglob("*.html"):
        assert not fetched.search(page.read_text(encoding="utf-8")), page
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\(\"?https?:|@import", sheet.read_text(encoding="utf-8")), sheet
