"""HTML page: one offline file per protocol with claims, experiments, failed runs and provenance.

It shows the files written by ``figures`` and ``tables``, and computes none itself. It depends on
the results alone: the same results give the same bytes. Figures are images, base64 of their SVG,
since a browser runs no script and loads no file from within an image.
"""

import re
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import pandas as pd

from stableft.core.errors import Damaged, MissingInput
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.files import write_whole
from stableft.core.grid import Protocol
from stableft.reporting import markup
from stableft.reporting.artifact_metadata import CAPTION, read_origin, run_set
from stableft.reporting.captions import READING, describe
from stableft.reporting.claims import Judgement
from stableft.reporting.claims import judge as judging
from stableft.reporting.experiment_summary import ExperimentSummary, page_totals, summarize
from stableft.reporting.pooling import load_pooled, run_tables, stale_runs
from stableft.reporting.report import expected, reason, report_of
from stableft.reporting.run_scores import final_scores
from stableft.storage.records import Results
from stableft.storage.store import Store

MAX_ROWS = 1000  # rows shown of a figure's numbers; the CSV file has all
CELL_BORDER = re.compile(r"(?<!\\)\|")
EMPHASIS = re.compile(r"(?<![\w*`])[*`]+([^\s*`][^*`]*)[*`]+(?![\w*`])")  # of docstrings
SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z])")
SVG_ROOT = "{http://www.w3.org/2000/svg}svg"
REDRAW = "type `make figures tables`, with RESULTS= and FIGURES= of these if they are others"
VERDICTS = {"confirmed": "✓", "contradicted": "✗", "inconclusive": "?", "not applicable": "∅", "not run": "–"}

Judge = Callable[[str, Results | None], Sequence[Judgement]]


@dataclass(frozen=True)
class Table:
    """A table with its cells as text.

    Attributes:
        head: Names of the columns.
        rows: Cells of each row.
        numeric: For each column, True if it holds numbers.
        omitted: Number of rows that are not shown.
    """

    head: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    omitted: int = 0


@dataclass(frozen=True)
class PageEntry:
    """A figure (with ``image``) or a table of a report.

    Attributes:
        name: Name in the report.
        title: The first sentence of its caption: what is shown.
        caption: Further sentences, without those on the runs, which the section has once.
        table: The table, or the numbers of the figure; None for a figure without numbers.
        image: The figure as a data URL; empty for a table.
        alt: Alternative text of the image.
    """

    name: str
    title: str
    caption: str
    table: Table | None
    image: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Section:
    """An experiment on the page.

    Attributes:
        name: Name of the experiment.
        title: First paragraph of its docstring.
        paragraphs: The other paragraphs, as (label such as Found, or empty; text).
        entries: Figures and tables of its report.
        left_out: Entries that can't be shown, each with the reason.
        summary: Its runs, failed runs and provenance.
        about: The sentences on the runs that all captions end with.
    """

    name: str
    title: str
    paragraphs: list[tuple[str, str]]
    entries: list[PageEntry]
    left_out: list[str]
    summary: ExperimentSummary
    about: str


def judge_at(protocol: Protocol | None) -> tuple[str, Judge]:
    """Returns a protocol's summary and the judge of its claims.

    For None (a user's own files) the summary is empty and the judge returns no judgements.
    """
    if protocol is None:
        return "", lambda name, results: []

    def judge(name: str, results: Results | None) -> Sequence[Judgement]:
        experiment = get_experiment(name)
        grid = judging.grid_at(name, experiment, protocol, results)
        return judging.judge(getattr(experiment, "CLAIMS", ()), grid, results) if grid else []

    return protocol.summary, judge


def write(
    store: Store, protocol: str, figures: Path, about: tuple[str, Judge], not_shown: Callable[[str], None] = lambda why: None
) -> Path:
    """Writes ``<figures>/<protocol>/report.html``.

    Args:
        store: The results.
        protocol: Name of the protocol. All its experiments with results are shown.
        figures: Folder of figures and tables.
        about: The summary and judge of the protocol, see `judge_at`.
        not_shown: Called with each entry of our own runs that their results can't give, and with
            results that can't be read, and the reason.

    Returns:
        The path of the page.

    Raises:
        MissingInput: a figure or table that the results can give is absent, or shows other runs.
    """
    # Experiments without results have no section; their claims are judged as "not run".
    summary, judge = about
    names = {name for scale, name in store.collected() if scale == protocol}
    outdated = stale_runs(store, protocol)
    why = {each.experiment: each.sentence() for each in outdated if each.stale == each.runs}
    names -= why.keys()
    sections: list[Section] = []
    judgements: list[Judgement] = []
    unread: dict[str, None] = {}
    tables = run_tables(store, protocol, lambda said: unread.setdefault(said))
    for name in all_experiments():
        results = None
        try:
            if name in names:
                results = load_pooled(store, protocol, name, tables=tables, unread=lambda said: unread.setdefault(said))
                final_scores(results)
        except MissingInput as error:
            results, why[name] = None, f"{name} at {protocol}: {error}"
            unread.setdefault(why[name])
        judgements += [replace(each, found=why[name]) if name in why else each for each in judge(name, results)]
        if results is not None:
            sections.append(section(name, results, figures / protocol / name, not_shown))
    for said in unread:
        not_shown(said)
    text = environment().get_template("report.html.j2").render(
        protocol=protocol,
        summary=summary,
        sections=sections,
        judgements=judgements,
        counts=Counter(judgement.verdict for judgement in judgements),
        verdicts=VERDICTS,
        reading=READING,
        shown=names,
        stale=[*(each.sentence() for each in outdated), *unread],
        total=page_totals([section.summary for section in sections]),
    )  # fmt: skip
    return write_whole(figures / protocol / "report.html", text.encode())


def section(name: str, results: Results, folder: Path, not_shown: Callable[[str], None] = lambda why: None) -> Section:
    """Builds an experiment's part of the page.

    Args:
        name: Name of the experiment.
        results: Its results at one protocol.
        folder: Folder of its figures and tables.
        not_shown: See `write`.

    Raises:
        MissingInput: as for `write`.
    """
    module = get_experiment(name)
    title, *paragraphs = re.split(r"\n\s*\n", (module.__doc__ or name).strip())
    entries: list[PageEntry] = []
    left_out: list[str] = []
    for stem, item in report_of(name).items():
        try:
            entries.append(_entry(folder / stem, results))
        except Damaged:
            raise
        except MissingInput:
            # An item without files, or with those of earlier runs, is left out only if the results can't give it.
            try:
                item(results)
            except MissingInput as error:
                left_out.append(f"{stem}: {reason(error, results)}")
                if not expected(error, results):
                    not_shown(f"{folder}/{left_out[-1]}")
            else:
                raise
    return Section(name, title, [_labelled(text) for text in paragraphs], entries, left_out, summarize(results), describe(results))


def _entry(stem: Path, results: Results) -> PageEntry:
    """Reads a figure or a table from its files.

    Raises:
        MissingInput: there are none, or they show other runs.
        Damaged: they are not as they were written.
    """
    svg, csv, note, table = (stem.with_name(f"{stem.name}.{suffix}") for suffix in ("svg", "csv", "txt", "md"))
    drawn = svg.is_file() and note.is_file()
    if not drawn and not table.is_file():
        raise MissingInput(f"{stem} is neither drawn nor written yet: {REDRAW}")
    if read_origin(note if drawn else table).run_set != run_set(results):
        raise MissingInput(f"{note if drawn else table} shows other runs than the collected results: {REDRAW}")
    path = table  # the file being read, for the message of an error
    try:
        if not drawn:
            shown, caption = _markdown(table.read_text(encoding="utf-8"))
            return PageEntry(stem.name, *_titled(caption), shown)
        path = svg
        image = _image(svg.read_bytes())
        path = note
        title, caption = _titled(note.read_text(encoding="utf-8").strip())
        path = csv
        numbers = _csv(csv) if csv.is_file() else None
        return PageEntry(stem.name, title, caption, numbers, image, f"{stem.name}: {title}")
    except (ValueError, ElementTree.ParseError) as error:
        raise Damaged(path, f"{path} is damaged ({error}): {REDRAW}") from None


def _titled(caption: str) -> tuple[str, str]:
    """Splits a caption into its first sentence and the others, without those on the runs."""
    own = CAPTION.split(caption)[0].strip() or caption
    title, *more = SENTENCE_END.split(own, maxsplit=1)
    return title, "".join(more)


def _image(svg: bytes) -> str:
    """Returns an image as a data URL.

    Raises:
        ElementTree.ParseError: it is not XML.
        ValueError: it is not SVG.
    """
    if ElementTree.fromstring(svg).tag != SVG_ROOT:
        raise ValueError("it is not SVG")
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"


def _csv(path: Path) -> Table:
    """Reads the first `MAX_ROWS` rows of a CSV file.

    Raises:
        ValueError: it is no table.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("its rows are longer than its header")
    rows = frame.head(MAX_ROWS).to_numpy().tolist()
    numeric = [all(_is_number(row[column]) for row in rows) for column in range(frame.shape[1])]
    return Table(list(frame.columns), rows, numeric, max(0, len(frame) - MAX_ROWS))


def _markdown(text: str) -> tuple[Table, str]:
    """Parses a table and note written by `stableft.reporting.markup.to_markdown`.

    Raises:
        ValueError: it is no table.
    """
    lines, _, note = text.partition("\n\n")
    head, rules, *rows = [
        [markup.from_markdown(cell.strip().replace("\\|", "|")) for cell in CELL_BORDER.split(line.strip())[1:-1]]
        for line in lines.split("\n")
    ]
    if not all(len(row) == len(head) for row in (rules, *rows)):
        raise ValueError("its rows are not equally long")
    return Table(head, rows, [rule.endswith(":") for rule in rules]), markup.from_markdown(note.strip())


def _is_number(cell: str) -> bool:
    return not cell or cell == markup.ABSENT or re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?|nan|-?inf", cell) is not None


def _labelled(paragraph: str) -> tuple[str, str]:
    text = EMPHASIS.sub(r"\1", " ".join(paragraph.split()))
    label = re.match(r"([A-Z][a-z]+(?: \([^)]*\))?): ", text)
    return (label[1], text[label.end() :]) if label else ("", text)


def environment(package: str = "stableft.reporting") -> jinja2.Environment:
    """Returns the settings of templates in a package's folder ``templates``; values are escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., Any]] = {"duration": markup.duration, "sentence": lambda text: text[:1].upper() + text[1:]}
    made.filters |= filters
    return made
