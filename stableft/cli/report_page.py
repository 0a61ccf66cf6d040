"""Report page: writes one offline page per scale, with claims, figures, tables and runs."""

from stableft.cli.common import (
    FIGURES,
    RESULTS,
    AsJson,
    FiguresFolder,
    OnlyProtocol,
    ResultsFolder,
    beside,
    say_changed_code,
    show_written,
    verb,
)
from stableft.storage.evidence import known_protocols
from stableft.storage.store import Store


@verb
def report(
    protocol: OnlyProtocol = None, results: ResultsFolder = RESULTS, folder: FiguresFolder = None, as_json: AsJson = False
) -> None:
    """Write one offline page per scale.

    The page, report.html, has claims, figures, tables and runs. Run `figures` and `tables` first.
    Exits with 4 if a page lacks what its results cannot give, with the reason.
    """
    from stableft.reporting import html_page, render

    missing: list[str] = []
    store, folder = Store(results), folder or beside(results, FIGURES)
    say_changed_code(store, protocol)
    scales, protocols = (
        dict.fromkeys(scale for scale, _ in render.collected(store, protocol)),
        known_protocols(store, missing.append),
    )
    pages = [html_page.write(store, scale, folder, html_page.judge_at(protocols.get(scale)), missing.append) for scale in scales]
    show_written(pages, [], missing, as_json)
