"""HTML page: one offline file per protocol with claims, experiments, failed runs and provenance.

It shows the files written by ``figures`` and ``tables``, and computes none itself. It depends on
the results alone: the same results give the same bytes. The lead figure of each experiment is an
image in the page, its SVG in a data URL: a browser runs no script and loads no file from within an
image. The other figures lie beside the page, and a browser loads one when a reader opens it.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jinja2
import pandas as pd
from markupsafe import Markup

from stableft.core.errors import Damaged, MissingInput
from stableft.core.experiments import all_experiments, get_experiment
from stableft.core.files import write_whole
from stableft.core.grid import Protocol
from stableft.reporting import lead_figures, markup, page_images
from stableft.reporting.artifact_metadata import read_origin, run_set
from stableft.reporting.captions import READING
from stableft.reporting.claims import Judgement
from stableft.reporting.claims import judge as judging
from stableft.reporting.claims.headlines import by_question
from stableft.reporting.experiment_summary import ExperimentSummary, page_totals, summarize
from stableft.reporting.page_notes import CaptionParts, shared_notes, split_caption
from stableft.reporting.pooling import load_pooled, run_tables, stale_runs
from stableft.reporting.report import expected, reason, report_of
from stableft.reporting.run_scores import final_scores
from stableft.storage.records import Results
from stableft.storage.store import Store

MAX_ROWS = 30  # rows shown of a table; its CSV file has all
MAX_EMBEDDED = 1_350_000  # characters of the images in a page of 2 MB; the lead figures beyond lie beside it
WIDE = 420  # points; a figure of this width is not scaled down to that of a phone
BROAD = 500  # points; a figure of this width has no text beside it
CELL_BORDER = re.compile(r"(?<!\\)\|")
EMPHASIS = re.compile(r"(?<![\w*`])[*`]+([^\s*`][^*`]*)[*`]+(?![\w*`])")  # of docstrings
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
        caption: Text below it, in parts.
        table: The table; None for a figure, and for a table of published numbers alone.
        image: The figure as a data URL; empty for a table.
        size: Width and height of the figure in points; 0 if unknown.
        rows: Number of rows of its CSV file; None if there is no such file.
    """

    name: str
    caption: CaptionParts
    table: Table | None
    image: str | Markup = ""
    size: tuple[int, int] = (0, 0)
    rows: int | None = None

    @property
    def is_wide(self) -> bool:
        """True if a phone shows it in a box that scrolls."""
        return self.size[0] >= WIDE

    @property
    def is_broad(self) -> bool:
        """True if it takes the whole width of the page."""
        return self.size[0] >= BROAD


@dataclass(frozen=True)
class Section:
    """An experiment on the page.

    Attributes:
        name: Name of the experiment.
        title: First paragraph of its docstring.
        paragraphs: The other paragraphs, as (label such as Found, or empty; text).
        entries: Figures and tables of its report.
        lead: Its lead figure, one of ``entries``; None without a figure.
        left_out: Entries that can't be shown, each with the reason.
        summary: Its runs, failed runs and provenance.
        embedded: True if the lead figure is in the page.
    """

    name: str
    title: str
    paragraphs: list[tuple[str, str]]
    entries: list[PageEntry]
    lead: PageEntry | None
    left_out: list[str]
    summary: ExperimentSummary
    embedded: bool = True

    @property
    def runs(self) -> str:
        """The sentences on the runs that all of its captions end with."""
        return next((entry.caption.runs for entry in self.entries if entry.caption.runs), "")

    def found(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """Returns the paragraphs on what was found at a protocol, given its names."""
        spans = [(each, re.match(r"Found(?: \((.*)\))?$", each[0])) for each in self.paragraphs]
        wanted = list(filter(None, names))
        return [
            each
            for each, span in spans
            if span and (span[1] is None or any(span[1].startswith(name) or name.startswith(span[1]) for name in wanted))
        ]

    def shows(self, judgement: Judgement) -> str:
        """Returns the name of the entry that shows a claim of this experiment; empty if none does."""
        names = {entry.name for entry in self.entries}
        return lead_figures.figure_of(judgement.claim, names, self.lead.name if self.lead else "")


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
    text = (
        environment()
        .get_template("report.html.j2")
        .render(
            protocol=protocol,
            summary=summary,
            stale=[*(each.sentence() for each in outdated), *unread],
            **_parts(protocol, _embedded(sections), judgements),
        )
    )
    return write_whole(figures / protocol / "report.html", text.encode())


def _parts(protocol: str, sections: Sequence[Section], judgements: Sequence[Judgement]) -> dict[str, Any]:
    """Returns the parts of the page for the template."""
    questions = by_question(judgements)
    by_name = {each.name: each for each in sections}
    headlines = [judged for question in questions for judged in question.headlines]
    answering = [by_name[judged.experiment] for judged in headlines if judged.experiment in by_name]
    return {
        "sections": by_name,
        "first": next((each for each in [*answering, *sections] if each.lead), None),
        "names": [protocol, *{judged.imported for judged in judgements}],
        "judgements": judgements,
        "questions": questions,
        "counts": Counter(judged.verdict for judged in judgements),
        "verdicts": VERDICTS,
        "notes": shared_notes((entry.name, entry.caption.rest) for each in sections for entry in each.entries),
        "how_to_read": READING,
        "total": page_totals([each.summary for each in sections]),
    }


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
    lead = lead_figures.lead(module, [entry.name for entry in entries if entry.image])
    leading = next((entry for entry in entries if entry.name == lead), None)
    return Section(name, title, [_labelled(text) for text in paragraphs], entries, leading, left_out, summarize(results))


def _embedded(sections: Iterable[Section]) -> list[Section]:
    """Returns the sections with the lead figures in the page, as far as `MAX_EMBEDDED` goes."""
    size, shown = 0, []
    for each in sections:
        size += len(each.lead.image) if each.lead else 0
        shown.append(replace(each, embedded=size <= MAX_EMBEDDED))
    return shown


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
            rows = len(shown.rows) if csv.is_file() else None
            return PageEntry(stem.name, split_caption(caption), _compared(shown), rows=rows)
        path = svg
        image, size = page_images.data_url(svg.read_bytes()), page_images.size(svg.read_bytes())
        path = note
        caption = split_caption(note.read_text(encoding="utf-8").strip())
        path = csv
        rows = _num_rows(csv) if csv.is_file() else None
        return PageEntry(stem.name, caption, None, image, size, rows)
    except (ValueError, ElementTree.ParseError) as error:
        raise Damaged(path, f"{path} is damaged ({error}): {REDRAW}") from None


def _num_rows(path: Path) -> int:
    """Returns the number of rows of a CSV file.

    Raises:
        ValueError: it is no table.
    """
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    if not isinstance(frame.index, pd.RangeIndex):
        raise ValueError("its rows are longer than its header")
    return len(frame)


def _compared(table: Table) -> Table | None:
    """Returns the rows of a table that are shown, at most `MAX_ROWS`.

    Where numbers of ours are beside published ones, these are the rows that have both. None if
    there are none: such a table is about the literature alone.
    """
    rows = table.rows
    if "published_n" in table.head:
        published = [i for i, name in enumerate(table.head) if name.startswith("published_") and table.numeric[i]]
        own = table.head.index("n")
        rows = [row for row in rows if row[own] != markup.ABSENT and any(row[i] != markup.ABSENT for i in published)]
        if not rows:
            return None
    return replace(table, rows=rows[:MAX_ROWS], omitted=len(table.rows) - len(rows[:MAX_ROWS]))


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
