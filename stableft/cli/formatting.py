"""Formatting: the output of a command, and tables and lines shared by several commands."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import RenderableType

from stableft.cli.terminal import one_line
from stableft.execution.planning import Planned
from stableft.reporting import experiment_summary
from stableft.reporting.experiment_summary import RunGroup

VIEW_SCHEMA = 2


@dataclass(frozen=True)
class View:
    """Output of a command.

    Attributes:
        text: Output for people, printed one after the other.
        data: Output for programs, printed with ``--json``.
    """

    text: Sequence[RenderableType]
    data: dict[str, Any]


def bare_table(rows: Iterable[Sequence[str]]) -> str:
    """Returns rows without a header as lines of text, a line for each row."""
    return _lines([list(row) for row in rows], numeric=())


def aligned(names: Sequence[str], rows: Sequence[Sequence[str]], numeric: Container[int] | None = None) -> str:
    """Returns a table as lines of text. A narrow terminal wraps lines; rich would fold or cut each cell.

    Args:
        names: Names of the columns.
        rows: Cells of each row.
        numeric: Columns aligned to the right; by default all but the first.
    """
    return _lines([names, *rows], range(1, len(names)) if numeric is None else numeric)


def _lines(rows: Sequence[Sequence[str]], numeric: Container[int]) -> str:
    """Returns a line of text for each row, with columns as wide as a terminal shows their cells."""
    cells = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]

    def padded(cell: str, column: int) -> str:
        space = " " * (widths[column] - cell_len(cell))
        return space + cell if column in numeric else cell + space

    return "\n".join("  ".join(padded(cell, column) for column, cell in enumerate(row)).rstrip() for row in cells)


def cell_name(p: Planned) -> str:
    """Returns ``task / arm / seed``."""
    return f"{p.cell.task} / {p.cell.arm} / {p.cell.seed}"


def cell_data(p: Planned) -> dict[str, Any]:
    """Returns the identity and the cell of a run, for ``--json``."""
    return {"run_id": p.run_id, "task": p.cell.task, "arm": p.cell.arm, "seed": p.cell.seed}


def collected_lines(number: int) -> list[str]:
    """Returns a line about collected runs without a record, if there are any."""
    if not number:
        return []
    return [f"{number} of them are collected: in the tables, but without a record here (fresh clone); `run` does them again"]


def written(paths: Sequence[Path], left_out: Sequence[str] = (), not_drawn: Sequence[str] = ()) -> View:
    """Shows the files written, and the entries left out."""
    folders = Counter(str(path.parent) for path in paths)
    text = [f"{count} files in {folder}" for folder, count in folders.items()] + [f"left out: {why}" for why in left_out]
    data = {"files": [str(path) for path in paths], "left_out": list(left_out), "not_drawn": list(not_drawn)}
    return View(text, {"schema": VIEW_SCHEMA, **data})


def groups_table(folders: Mapping[str, Sequence[RunGroup]]) -> str:
    """Returns a table with a line for each group of runs with the same provenance, by folder."""
    names = ["", "runs", "commit", "python", *experiment_summary.SHOWN_PACKAGES, "hardware", "device", "first", "last"]
    rows = [
        [folder, str(g.runs), g.commit, g.python, *g.versions.values(), g.hardware, g.device, g.first, g.last]
        for folder, groups in folders.items()
        for g in groups
    ]
    return aligned(names, rows, numeric=[1])


def groups_data(groups: Sequence[RunGroup]) -> list[dict[str, Any]]:
    """Returns groups of runs for ``--json``. Peak memory is null if it was not measured."""
    rows = [{**asdict(group), "packages": dict(group.packages)} for group in groups]
    return [{**each, "peak_memory_mb": _finite(each["peak_memory_mb"])} for each in rows]


def _finite(value: float) -> float | None:
    return value if value == value else None
