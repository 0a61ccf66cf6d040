"""The commands that only read collected results: figures, tables, from a figure to its runs, two folders side by side."""

from pathlib import Path
from typing import Annotated

import typer

from stableft.cli import views
from stableft.cli.common import Exit, Experiments, FiguresFolder, Json, ResultsFolder, Scale, show, verb
from stableft.core.errors import MissingInput
from stableft.storage.store import Store

app = typer.Typer()


@app.command("figures")
@verb
def figures_(
    experiments: Experiments = None, protocol: Scale = None, results: ResultsFolder = Path("results"),
    figures: FiguresFolder = Path("figures"), as_json: Json = False,
) -> None:  # fmt: skip
    """Draws every figure from collected results, with caption and numbers: no torch, no network."""
    from stableft.reporting import render as publish
    from stableft.reporting.report import FigureReport

    places = publish.collected(Store(results), protocol, experiments or [])
    show(views.written(*publish.render(Store(results), places, figures, [FigureReport])), as_json)


@app.command()
@verb
def tables(
    experiments: Experiments = None, protocol: Scale = None, results: ResultsFolder = Path("results"),
    figures: FiguresFolder = Path("figures"), as_json: Json = False,
) -> None:  # fmt: skip
    """Writes every table from collected results, as Markdown, LaTeX and CSV: no torch, no network."""
    from stableft.reporting import render as publish
    from stableft.reporting.report import TableReport

    places = publish.collected(Store(results), protocol, experiments or [])
    show(views.written(*publish.render(Store(results), places, figures, [TableReport])), as_json)


@app.command()
@verb
def trace(
    path: Annotated[Path, typer.Argument(help="A figure (pdf, png, svg, csv) or a table (md, tex, csv).")],
    results: ResultsFolder = Path("results"),
    as_json: Json = False,
) -> None:
    """From a figure or table to its runs: which they are, of which commit, on what hardware, and what runs them."""
    from stableft.cli import report_views
    from stableft.reporting import artifact_metadata as origin

    said = origin.read_origin(path)
    store = Store(results)
    if (said.protocol, said.experiment) not in store.collected():
        runs = f"run set {said.run_set} of {said.experiment} at {said.protocol}"
        raise MissingInput(f"{path} shows {runs}, of which no results are collected in {results.resolve()}")
    show(report_views.traced(path, said, store.load(said.protocol, said.experiment), store), as_json)


@app.command("show")
@verb
def show_run(
    run: Annotated[str, typer.Argument(metavar="RUN_ID", help="A run's identity, or the first digits of it.")],
    results: ResultsFolder = Path("results"),
    as_json: Json = False,
) -> None:
    """All that is recorded of a run: configuration, fingerprints, provenance, and what computes it again."""
    from stableft.cli import report_views
    from stableft.reporting import experiment_summary as lineage

    store = Store(results)
    show(report_views.shown(*lineage.find_run(store, run), store), as_json)


@app.command()
@verb
def compare(
    a: Annotated[Path, typer.Argument(metavar="RESULTS_A", help="A results folder, such as the author's.")],
    b: Annotated[Path, typer.Argument(metavar="RESULTS_B", help="Another, such as the reviewer's.")],
    protocol: Scale = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 3 if a cell is different.")] = False,
    as_json: Json = False,
) -> None:
    """Two results folders, cell by cell: equal, within the interval of the difference, or different; with the hardware of both."""
    from stableft.cli import report_views
    from stableft.reporting import compare_results as comparison

    found = comparison.compare(Store(a), Store(b), protocol)
    show(report_views.compared(found), as_json)
    if strict and any(cell.verdict == "different" for cell in found.cells):
        raise typer.Exit(Exit.CONTRADICTED)
