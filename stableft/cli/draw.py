"""Draw: writes figures and tables from collected results."""

from collections.abc import Sequence
from pathlib import Path

from stableft.cli.common import (
    FIGURES,
    RESULTS,
    AsJson,
    Experiments,
    FiguresFolder,
    OnlyProtocol,
    ResultsFolder,
    beside,
    say_changed_code,
    show_written,
    verb,
)
from stableft.storage.store import Store


@verb
def figures(
    experiments: Experiments = None,
    protocol: OnlyProtocol = None,
    results: ResultsFolder = RESULTS,
    folder: FiguresFolder = None,
    as_json: AsJson = False,
) -> None:
    """Draw every figure from collected results.

    Writes each with its caption and its numbers. Needs neither torch nor a network. Exits with 4 if
    some cannot be drawn; all others are.
    """
    from stableft.reporting.report import FigureReport

    _draw(FigureReport, experiments or [], protocol, results, folder, as_json)


@verb
def tables(
    experiments: Experiments = None,
    protocol: OnlyProtocol = None,
    results: ResultsFolder = RESULTS,
    folder: FiguresFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write every table from collected results.

    Writes each as Markdown, LaTeX and CSV. Needs neither torch nor a network. Exits with 4 if some
    cannot be written; all others are.
    """
    from stableft.reporting.report import TableReport

    _draw(TableReport, experiments or [], protocol, results, folder, as_json)


def _draw(kind: type, experiments: Sequence[str], protocol: str | None, results: Path, folder: Path | None, as_json: bool) -> None:
    from stableft.reporting import render

    say_changed_code(Store(results), protocol, experiments)
    places = render.collected(Store(results), protocol, experiments)
    show_written(*render.render(Store(results), places, folder or beside(results, FIGURES), [kind]), as_json=as_json)
