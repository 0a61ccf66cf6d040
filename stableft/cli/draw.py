"""Draw: writes figures and tables from collected results."""

from stableft.cli.common import FIGURES, RESULTS, AsJson, Experiments, FiguresFolder, OnlyProtocol, ResultsFolder, show, verb
from stableft.cli.formatting import written
from stableft.storage.store import Store


@verb
def figures(
    experiments: Experiments = None,
    protocol: OnlyProtocol = None,
    results: ResultsFolder = RESULTS,
    folder: FiguresFolder = FIGURES,
    as_json: AsJson = False,
) -> None:
    """Draw every figure from collected results.

    Writes each with its caption and its numbers. Needs neither torch nor a network.
    """
    from stableft.reporting import render
    from stableft.reporting.report import FigureReport

    places = render.collected(Store(results), protocol, experiments or [])
    show(written(*render.render(Store(results), places, folder, [FigureReport])), as_json)


@verb
def tables(
    experiments: Experiments = None,
    protocol: OnlyProtocol = None,
    results: ResultsFolder = RESULTS,
    folder: FiguresFolder = FIGURES,
    as_json: AsJson = False,
) -> None:
    """Write every table from collected results.

    Writes each as Markdown, LaTeX and CSV. Needs neither torch nor a network.
    """
    from stableft.reporting import render
    from stableft.reporting.report import TableReport

    places = render.collected(Store(results), protocol, experiments or [])
    show(written(*render.render(Store(results), places, folder, [TableReport])), as_json)
