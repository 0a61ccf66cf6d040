"""Turns results into files: an experiment's ``REPORT`` maps a file name to what is to be shown, the type picks the writer.

    REPORT = {
        "train_loss": report.curves(split="train", metric="loss"),
        "scores": report.score_table(),
    }

An entry is a function of the `Results`; the ones built here carry their caption and, for figures, the numbers drawn, and say
beforehand which of the two they make, so that nobody computes figures who asks for tables.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure

from stableft import statistics
from stableft.core.errors import NotLogged
from stableft.core.files import write_whole
from stableft.reporting import artifact_metadata as origin
from stableft.reporting import markup, tables
from stableft.reporting.figures import bias_magnitude as bias_figure
from stableft.reporting.figures import block_gradients as gradient_figure
from stableft.reporting.figures import curves as curve_figure
from stableft.reporting.figures import distances as distance_figure
from stableft.reporting.figures import distributions as distribution_figure
from stableft.reporting.figures import draw, style
from stableft.reporting.figures import learning_rates as learning_rate_figure
from stableft.reporting.figures import seed_map as seed_map_figure
from stableft.reporting.figures import training_length as length_figure
from stableft.storage.records import Results

FEW_ARMS = 4  # with more, a caption counts them instead of listing each


@dataclass(frozen=True)
class FigureReport:
    """A figure, exactly the numbers drawn in it, and the sentences that belong under it."""

    figure: Figure
    data: pd.DataFrame
    caption: str


@dataclass(frozen=True)
class TableReport:
    """A table and its note."""

    table: pd.DataFrame
    caption: str


BOTH: Collection[type] = (FigureReport, TableReport)
Shown = FigureReport | TableReport | Figure | pd.DataFrame
Item = Callable[[Results], Shown]
Report = Mapping[str, Item]


@dataclass(frozen=True)
class Entry:
    """An item that says what it makes."""

    makes: type[FigureReport] | type[TableReport]
    build: Item

    def __call__(self, results: Results) -> Shown:
        return self.build(results)


def figure(kind: ModuleType, **options: object) -> Item:
    """A kind of figure: a module of `stableft.reporting.figures` with ``data(results, **options)``, ``plot`` and ``CAPTION``."""
    return _figure(kind, "", **options)


def table(kind: ModuleType, **options: object) -> Item:
    """A kind of table: a module of `stableft.reporting.tables` with ``table(results, **options)`` and ``NOTE``."""
    return _table(lambda results: kind.table(results, **options), kind.NOTE)


def curves(*, split: str, metric: str, interval: int | None = None, published: pd.DataFrame | None = None) -> Item:
    """See `stableft.reporting.figures.curves`."""
    points = "Where a protocol evaluates on a fixed subset, all points are on it, unlike the scores of the tables."
    if split == "train":
        points = f"Each point is the mean over {f'{interval} steps' if interval else 'a tenth of the steps'}."
    lead = f"{metric.replace('_', ' ').capitalize()} on {split}. {points}"
    if published is not None:
        lead += " Grey, dotted, with open marks: published, where a source's points are at the same steps."
    return _figure(curve_figure, lead, split=split, metric=metric, interval=interval, published=published)


def distributions() -> Item:
    """See `stableft.reporting.figures.distributions`."""
    return _figure(distribution_figure)


def bias_magnitude() -> Item:
    """See `stableft.reporting.figures.bias_magnitude`."""
    return _figure(bias_figure)


def learning_rates() -> Item:
    """See `stableft.reporting.figures.learning_rates`."""
    return _figure(learning_rate_figure)


def seed_map() -> Item:
    """See `stableft.reporting.figures.seed_map`."""
    return _figure(seed_map_figure)


def distances() -> Item:
    """See `stableft.reporting.figures.distances`."""
    return _figure(distance_figure)


def block_gradients(*, arms: Collection[str] | None = None) -> Item:
    """See `stableft.reporting.figures.block_gradients`."""
    lead = f"Runs of {', '.join(arms)}." if arms else "Runs of all arms."
    return _figure(gradient_figure, lead, arms=arms)


def training_length() -> Item:
    """See `stableft.reporting.figures.training_length`."""
    return _figure(length_figure)


def score_table() -> Item:
    """See `stableft.reporting.tables.score_table`."""
    note = (
        "Final scores over seeds; std with n - 1. Difference: mean over the pairs of runs with equal seed, against the first arm, "
        "with 95 % BCa bootstrap interval; p: two-sided sign-flip permutation test of the pairs."
    )
    return _table(tables.score_table, note)


def bias_table() -> Item:
    """See `stableft.reporting.tables.bias_table`."""
    note = (
        "Norm of the applied update over that of the corrected one, at the metered steps. deviation: greatest relative distance of "
        "a run and step to the closed form; largest: of all runs; at_step and last: means over runs."
    )
    return _table(tables.bias_table, note)


def seed_table() -> Item:
    """See `stableft.reporting.tables.seed_table`."""
    note = (
        "Final scores; std with n - 1. std_over_order: mean over init seeds of the std over order seeds; std_over_init: the other "
        "way round."
    )
    return _table(tables.seed_table, note)


def learning_rate_table() -> Item:
    """See `stableft.reporting.tables.learning_rate_table`."""
    note = "Final scores over seeds; std with n - 1. train_loss: mean over the last tenth of the steps, of the runs that finished."
    return _table(tables.learning_rate_table, note)


def rate_pair_table() -> Item:
    """See `stableft.reporting.tables.rate_pair_table`."""
    note = (
        "Final scores over seeds. Difference: mean over the pairs of runs with equal seed, against the first arm at the same rate, "
        "with 95 % BCa bootstrap interval; p: two-sided sign-flip permutation test of the pairs, each row for itself."
    )
    return _table(tables.rate_pair_table, note)


def convergence_table() -> Item:
    """See `stableft.reporting.tables.convergence_table`."""
    note = (
        "Training loss, mean over the runs that finished: of the first tenth of the steps, of the fifth and of the last. "
        "half_step: end of the first tenth with at most half of the first one's loss, mean over the runs that get there; reached: "
        "how many do."
    )
    return _table(tables.convergence_table, note)


def checkpoint_table() -> Item:
    """See `stableft.reporting.tables.checkpoint_table`."""
    note = (
        "Means over seeds. last: score of the last weights; best: of the checkpoint with the best validation score, and best_step "
        "where that was; maximum: the best score of all evaluation points (rmse: the least), chosen on the very examples that it "
        "is of; average: of the averaged weights."
    )
    return _table(tables.checkpoint_table, note)


def describe(results: Results) -> str:
    """The sentences every caption ends with: what was run, how often it failed, and which runs exactly.

    The run set is that of `stableft.reporting.artifact_metadata.run_set`; `stableft.reporting.artifact_metadata.read` reads these
    sentences.
    """
    scores = tables.final_scores(results)
    experiment, protocol = (", ".join(map(str, results.runs[name].unique())) for name in ("experiment", "protocol"))
    splits = ", ".join(f"{row.task} on {row.split}" for row in scores.drop_duplicates("task").itertuples())
    sentences = [
        f"Experiment {experiment}, protocol {protocol}; scored: {splits}.",
        _frequent_points(results.runs),
        _failures(scores),
        tables.DIVERGED_RULE if scores["diverged"].any() else "",
        f"Resampling seed {statistics.RESAMPLING_SEED}. Run set {origin.run_set(results)}.",
    ]
    return " ".join(filter(None, sentences))


def makes_one_of(item: Item, makes: Collection[type]) -> bool:
    """Whether an entry may make one of these; a bare function says so only once it is called."""
    return not isinstance(item, Entry) or item.makes in makes


def render(name: str, item: Item, results: Results, folder: Path, makes: Collection[type] = BOTH) -> list[Path]:
    """Writes one entry of a report; each file appears complete or not at all, the same results give the same bytes.

    Args:
        name: Stem of the files.
        item: What to show. A bare figure or frame gets `describe` as its caption.
        results: Of one experiment and protocol.
        folder: Created if it is not there.
        makes: `FigureReport`, `TableReport` or both: an entry that makes something else is left alone.

    Returns:
        The paths written: ``.pdf .png .svg .csv .txt`` (caption) for a figure, ``.md .tex .csv`` for a table.

    Raises:
        MissingInput: the results lack what the entry shows.
    """
    if not makes_one_of(item, makes):
        return []
    shown = item(results)
    if isinstance(shown, pd.DataFrame):
        shown = TableReport(shown, describe(results))
    if (TableReport if isinstance(shown, TableReport) else FigureReport) not in makes:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(shown, TableReport):
        table, note = shown.table, " ".join(filter(None, [shown.caption, origin.of(results, name).sentence()]))
        texts = {"md": markup.to_markdown(table, note), "tex": markup.to_latex(table, note), "csv": markup.to_csv(table)}
        return _write(texts, name, folder)
    drawn, texts = shown, {"txt": describe(results) + "\n"}
    if isinstance(shown, FigureReport):
        drawn, texts = shown.figure, {"csv": markup.to_csv(shown.data), "txt": shown.caption + "\n"}
    assert isinstance(drawn, Figure)
    return [*style.save(drawn, folder / name, origin.of(results, name).to_json()), *_write(texts, name, folder)]


def render_all(
    report: Report,
    results: Results,
    folder: Path,
    left_out: Callable[[str], None] = lambda why: None,
    makes: Collection[type] = BOTH,
) -> list[Path]:
    """Writes every entry; files in the folder that are none of these are left alone.

    Args:
        report: What to show.
        results: Of one experiment and protocol.
        folder: Created if it is not there.
        left_out: Told which entry is not written, and why, where the results are from before its series was logged.
        makes: See `render`.

    Returns:
        The paths written, in the order of the report.
    """
    paths: list[Path] = []
    for name, item in report.items():
        try:
            paths += render(name, item, results, folder, makes)
        except NotLogged as error:
            left_out(f"{folder / name}: {error}")
    return paths


def _table(make: Callable[[Results], pd.DataFrame], note: str) -> Item:
    return Entry(TableReport, lambda results: TableReport(make(results), f"{note} {describe(results)}"))


def _figure(kind: ModuleType, lead: str = "", **options: object) -> Item:
    def build(results: Results) -> FigureReport:
        caption = " ".join(filter(None, [lead, kind.CAPTION, describe(results)]))
        return FigureReport(*draw(kind, results, **options), caption)

    return Entry(FigureReport, build)


def _failures(scores: pd.DataFrame) -> str:
    counts = scores.groupby(["task", "arm"], sort=False, observed=True)["failed"].agg(["sum", "count"])
    if scores["arm"].nunique() > FEW_ARMS:
        low, high = counts["count"].min(), counts["count"].max()
        seeds = f"{low}" if low == high else f"{low} to {high}"
        total = f"{scores['failed'].sum()} of {len(scores)} runs failed"
        return f"{scores['arm'].nunique()} arms, {seeds} seeds per arm and task; {total}."
    tasks = []
    for task, rows in counts.reset_index().groupby("task", sort=False):
        arms = [f"{arm} {failed} of {n}" for arm, failed, n in zip(rows["arm"], rows["sum"], rows["count"], strict=True)]
        tasks.append(f"{task}: {', '.join(arms)}")
    return f"Failed runs of all seeds: {'; '.join(tasks)}."


def _frequent_points(runs: pd.DataFrame) -> str:
    """Says on which examples the points before the end were evaluated, where these are not all examples."""
    numbers: dict[int, dict[str, None]] = {}
    # The seeds of an arm differ in nothing else. A dict, not a set: tasks stay in the order of the runs.
    for task, config in runs.drop_duplicates(["task", "arm"])[["task", "config"]].itertuples(index=False):
        if number := json.loads(config).get("evaluation", {}).get("num_examples"):
            numbers.setdefault(number, {})[task] = None
    return " ".join(
        f"Points before the end, {' and '.join(tasks)}: on up to {number} fixed examples of validation."
        for number, tasks in numbers.items()
    )


def _write(texts: Mapping[str, str], name: str, folder: Path) -> list[Path]:
    return [write_whole(folder / f"{name}.{suffix}", text.encode()) for suffix, text in texts.items()]
