"""Compare: compares two results folders cell by cell."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from stableft.cli.common import AsJson, Exit, OnlyProtocol, end_incomplete, folder, option, show, verb
from stableft.cli.formatting import VIEW_SCHEMA, View, aligned, groups_data, groups_table
from stableft.reporting import compare_results, markup
from stableft.reporting.compare_results import FolderComparison, counts
from stableft.storage.store import Store


@verb
def compare(
    a: Annotated[Path, typer.Argument(parser=folder, metavar="RESULTS_A", help="A results folder, such as the author's.")],
    b: Annotated[Path, typer.Argument(parser=folder, metavar="RESULTS_B", help="Another, such as the reviewer's.")],
    protocol: OnlyProtocol = None,
    strict: Annotated[bool, option("Exit with 3 if a cell is different.", "--strict")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two results folders cell by cell.

    A cell is equal, within the interval of the difference, or different, at the seeds that both have.
    Cells of one folder alone are counted. Also shows the hardware of both.
    """
    unread: list[str] = []
    comparison = compare_results.compare(Store(a), Store(b), protocol, unread.append)
    show(compared(comparison), as_json)
    if strict and any(cell.verdict == "different" for cell in comparison.cells):
        raise typer.Exit(Exit.CONTRADICTED)
    end_incomplete("not compared", unread)


def compared(comparison: FolderComparison) -> View:
    """Shows the cells of two results folders, and the hardware of both."""
    # One row for each cell of both folders.
    rows = []
    for cell in (cell for cell in comparison.cells if None not in cell.n):
        interval = markup.ABSENT if cell.low is None or cell.high is None else f"[{cell.low:+.4f}, {cell.high:+.4f}]"
        numbers = [*(_number(n, "d") for n in cell.n), *(_number(mean, ".4f") for mean in cell.mean), interval]
        verdict = "equal, bit for bit" if cell.identical else cell.verdict
        shared = f"{cell.same} of {cell.shared}" if cell.shared else "none shared"
        rows.append([cell.protocol, cell.experiment, cell.task, cell.arm, *numbers, shared, verdict])
    names = ["protocol", "experiment", "task", "arm", "n A", "n B", "mean A", "mean B", "B - A, 95 % interval"]
    names += ["equal seeds", "verdict"]
    # Counts of verdicts, and the number of differences expected by chance at 95 %.
    verdicts = counts(comparison.cells)
    judged = verdicts.get("within interval", 0) + verdicts.get("different", 0)
    text: list[RenderableType] = [
        aligned(names, rows, numeric=range(4, 10)),
        ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()),
        *([f"of {judged} cells judged by interval, {judged / 20:.1f} differ by chance alone"] if judged else []),
        groups_table({"A": comparison.a, "B": comparison.b}),
    ]
    cells = [{**asdict(cell), "n": cell.n._asdict(), "mean": cell.mean._asdict()} for cell in comparison.cells]
    folders = {"a": groups_data(comparison.a), "b": groups_data(comparison.b)}
    data = {"schema": VIEW_SCHEMA, "counts": verdicts, "cells": cells, **folders}
    return View(text, data)


def _number(value: float | None, form: str) -> str:
    return markup.ABSENT if value is None else format(value, form)
