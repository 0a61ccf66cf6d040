"""Reports: writes the figures and tables of an experiment's ``REPORT``, which maps names to items.

    REPORT = {
        "train_loss": report.figure(curves, split="train", metric="loss"),
        "scores": report.table(score_summary),
    }

An item of a report is a function of `Results`. Items from `figure` and `table` declare their type
in advance, so that writing the tables computes no figure. They carry their caption and, for
figures, the numbers drawn.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure

from stableft.core import plugins
from stableft.core.errors import MissingInput, TooFew, UsageError
from stableft.core.experiments import get_experiment
from stableft.core.files import write_whole
from stableft.reporting import markup
from stableft.reporting.artifact_metadata import origin_of
from stableft.reporting.captions import describe, is_imported
from stableft.reporting.figures import draw, style
from stableft.reporting.rounding import settle
from stableft.storage.records import Results


@dataclass(frozen=True)
class FigureReport:
    """A figure, exactly the numbers drawn in it, and its caption."""

    figure: Figure
    data: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class TableReport:
    """A table and its note."""

    table: pd.DataFrame
    caption: str


BOTH: Collection[type] = (FigureReport, TableReport)
Artifact = FigureReport | TableReport | Figure | pd.DataFrame
Item = Callable[[Results], Artifact]
Report = Mapping[str, Item]


@dataclass(frozen=True)
class ReportItem:
    """An item that declares whether it makes a figure or a table."""

    makes: type[FigureReport] | type[TableReport]
    build: Item

    def __call__(self, results: Results) -> Artifact:
        return self.build(results)


def figure(kind: ModuleType, **options: object) -> Item:
    """Builds the item of a report for a kind of figure.

    Args:
        kind: A module of `stableft.reporting.figures` with ``data(results, **options)``, ``plot``
            and ``CAPTION``, whose first sentence says what is shown. It may have ``lead(**options)``, a
            text that precedes ``CAPTION``, and ``note(**options)``, one that follows it.
        options: Options of the kind; see its ``data``.
    """

    def build(results: Results) -> FigureReport:
        before, after = (getattr(kind, name)(**options) if hasattr(kind, name) else "" for name in ("lead", "note"))
        caption = " ".join(filter(None, [before, kind.CAPTION, after, describe(results)]))
        return FigureReport(*draw(kind, results, **options), caption)

    return ReportItem(FigureReport, build)


def table(kind: ModuleType, **options: object) -> Item:
    """Builds the item of a report for a kind of table.

    Args:
        kind: A module of `stableft.reporting.tables` with ``table(results, **options)`` and
            ``NOTE``.
        options: Options of the kind; see its ``table``.
    """

    def build(results: Results) -> TableReport:
        return TableReport(kind.table(results, **options), f"{kind.NOTE} {describe(results)}")

    return ReportItem(TableReport, build)


def report_of(name: str) -> Report:
    """Returns the report of an experiment, and the figures of plug-ins that name it in ``EXPERIMENTS``.

    A plug-in's experiment without a report gets its training loss, scores and table of arms.

    Raises:
        UsageError: there is no such experiment, or it has a figure of a plug-in's name.
    """
    kinds = {stem: module for stem, module in plugins.loaded().items() if name in getattr(module, "EXPERIMENTS", ())}
    if wrong := [stem for stem, module in kinds.items() if not all(hasattr(module, part) for part in ("data", "plot", "CAPTION"))]:
        raise UsageError(f"plug-in {wrong[0]} names EXPERIMENTS, but is no figure: that has data, plot and CAPTION")
    return plugins.plugged(
        get_experiment(name).REPORT or _usual_report(), {stem: figure(module) for stem, module in kinds.items()}, "a figure"
    )


def _usual_report() -> Report:
    from stableft.reporting.figures import curves, distributions
    from stableft.reporting.tables import arm_summary

    return {
        "train_loss": figure(curves, split="train", metric="loss"),
        "score_distribution": figure(distributions),
        "arms": table(arm_summary),
    }


def makes_one_of(item: Item, makes: Collection[type]) -> bool:
    """Tells whether an item may make one of the types ``makes``; a bare function may make either."""
    return not isinstance(item, ReportItem) or item.makes in makes


def render(name: str, item: Item, results: Results, folder: Path, makes: Collection[type] = BOTH) -> list[Path]:
    """Writes one item of a report.

    Each file appears complete or not at all. The same results give the same bytes.

    Args:
        name: Stem of the files.
        item: The item. A bare figure or frame gets `describe` as its caption.
        results: Results of one experiment and protocol.
        folder: Folder to write to, created if it is absent.
        makes: `FigureReport`, `TableReport` or both. An item of another type is skipped.

    Returns:
        The paths written: ``.pdf .png .svg .csv .txt`` (caption) for a figure, ``.md .tex .csv`` for
        a table.

    Raises:
        MissingInput: the results lack the data of the item.
    """
    if not makes_one_of(item, makes):
        return []
    artifact = item(results)
    if isinstance(artifact, pd.DataFrame):
        artifact = TableReport(artifact, describe(results))
    if (TableReport if isinstance(artifact, TableReport) else FigureReport) not in makes:
        return []
    # The origin is written into each figure, and into the note of each table.
    folder.mkdir(parents=True, exist_ok=True)
    origin = origin_of(results, name)
    if isinstance(artifact, TableReport):
        frame, note = settle(artifact.table), " ".join(filter(None, [artifact.caption, origin.sentence()]))
        texts = {"md": markup.to_markdown(frame, note), "tex": markup.to_latex(frame, note), "csv": markup.to_csv(frame)}
        return _write(texts, name, folder)
    drawn, texts = artifact, {"txt": describe(results) + "\n"}
    if isinstance(artifact, FigureReport):
        drawn, texts = artifact.figure, {"csv": markup.to_csv(artifact.data), "txt": artifact.caption + "\n"}
    assert isinstance(drawn, Figure)
    return [*style.save(drawn, folder / name, origin.to_json()), *_write(texts, name, folder)]


def render_all(
    report: Report,
    results: Results,
    folder: Path,
    left_out: Callable[[str], None] = lambda why: None,
    makes: Collection[type] = BOTH,
    not_drawn: Callable[[str], None] | None = None,
) -> list[Path]:
    """Writes every item of a report. Other files in the folder stay as they are.

    Args:
        report: The items by name.
        results: Results of one experiment and protocol.
        folder: Folder to write to, created if it is absent.
        left_out: Called with file and reason if the results lack what an item needs. It costs that item
            alone, and files of it that show earlier runs stay.
        makes: See `render`.
        not_drawn: Called instead if that is not to be expected, see `expected`; None: ``left_out`` is.

    Returns:
        The paths written, in the order of the report.
    """
    paths: list[Path] = []
    for name, item in report.items():
        try:
            paths += render(name, item, results, folder, makes)
        except MissingInput as error:
            say = left_out if not_drawn is None or expected(error, results) else not_drawn
            say(f"{folder / name}: {reason(error, results)}")
    return paths


def expected(error: MissingInput, results: Results) -> bool:
    """Tells whether it is normal that results lack what an item needs.

    It is for imported ones, which hold what their authors published, and for a table of many runs in a
    small grid. It is not if all runs diverged, or if there is one.
    """
    whole = len(results.runs) > 1 and not _all_diverged(results)
    return is_imported(results.runs) or (isinstance(error, TooFew) and whole)


def reason(error: MissingInput, results: Results) -> str:
    """Returns why an item can't be made of results, and what became of their runs if few are left."""
    if _all_diverged(results) and "diverged" not in str(error):
        return f"{error}; {'its only run' if len(results.runs) == 1 else f'all {len(results.runs)} runs'} diverged"
    return f"{error}; there is one run only" if len(results.runs) == 1 else str(error)


def _all_diverged(results: Results) -> bool:
    return len(results.runs) > 0 and bool((results.runs["outcome"] != "ok").all())


def _write(texts: Mapping[str, str], name: str, folder: Path) -> list[Path]:
    return [write_whole(folder / f"{name}.{suffix}", text.encode()) for suffix, text in texts.items()]
