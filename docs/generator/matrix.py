"""Matrix of claims: the rows of CLAIMS.md, which ``stableft verify`` writes."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLAIMS = ROOT / "CLAIMS.md"
ROW = re.compile(r"\| \[(?P<statement>.*?)\]\(#(?P<anchor>[a-z_]+-\w+)\) \|(?P<cells>.*)\|")


@dataclass(frozen=True)
class ClaimRow:
    """A row of the matrix.

    Attributes:
        statement: The claim in a sentence, without a full stop.
        question: Heading of its table.
        cells: Verdict, seeds and effect by column, such as ``✔ 50: rte +0.142``; empty if not run.
    """

    statement: str
    question: str
    cells: dict[str, str]


def read_matrix(path: Path = CLAIMS) -> dict[str, ClaimRow]:
    """Returns the rows by anchor, ``<experiment>-<claim>``, in the order of the page."""
    rows: dict[str, ClaimRow] = {}
    question, columns = "", []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            question = line.removeprefix("## ")
        elif line.startswith("| claim |"):
            columns = [cell.strip() for cell in line.strip("|").split("|")][1:]
        elif found := ROW.fullmatch(line):
            cells = [cell.strip() for cell in found["cells"].split("|")]
            rows[found["anchor"]] = ClaimRow(found["statement"], question, dict(zip(columns, cells, strict=True)))
    return rows
