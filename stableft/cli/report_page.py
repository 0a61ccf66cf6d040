"""Report page: writes one offline page per scale, with claims, figures, tables and runs."""

from stableft.cli.common import FIGURES, RESULTS, AsJson, FiguresFolder, OnlyProtocol, ResultsFolder, show, verb
from stableft.cli.formatting import written
from stableft.storage.evidence import known_protocols
from stableft.storage.store import Store


@verb
def report(
    protocol: OnlyProtocol = None, results: ResultsFolder = RESULTS, folder: FiguresFolder = FIGURES, as_json: AsJson = False
) -> None:
    """Write one offline page per scale.

    The page, report.html, has claims, figures, tables and runs. Run `figures` and `tables` first.
    """
    from stableft.reporting import html_page, render

    store = Store(results)
    scales, protocols = dict.fromkeys(scale for scale, _ in render.collected(store, protocol)), known_protocols(store)
    pages = [html_page.write(store, scale, folder, html_page.judge_at(protocols.get(scale))) for scale in scales]
    show(written(pages), as_json)
