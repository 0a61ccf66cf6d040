"""README.md and docs/: generated parts are as written, links lead somewhere, numbers are those of their sources."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from docs.generator import answers


def pages(project: Path) -> list[Path]:
    return [*(project / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((project / "docs").rglob("*.md"))]


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
