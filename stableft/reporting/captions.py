"""Captions: the closing sentences of every figure and table."""

import json
from collections.abc import Collection
from functools import lru_cache

import pandas as pd

from stableft import statistics
from stableft.reporting import processors
from stableft.reporting.artifact_metadata import run_set
from stableft.reporting.pooling import further_seeds
from stableft.reporting.run_scores import DIVERGED_RULE, final_scores
from stableft.storage.records import Results
from stableft.storage.schema import ImportedFrom

# How all figures are to be read, for a page of them: their captions do not repeat it.
READING = (
    "A treatment has the same colour in all figures; of learning rates, steps and blocks, lighter is less. Crosses and thin lines "
    "are failed runs: their final score is at or below the majority score (dotted), that of a constant prediction, or they "
    "diverged. Boxes: quartiles, with whiskers to 1.5 interquartile ranges. Intervals of means: 95 %, bootstrap. Both need five "
    "runs; arms of fewer, or of which some runs fail and some do not, have a bar at their mean. Open grey marks: published."
)
FEW_ARMS = 4  # with more, a caption counts them instead of listing each


@lru_cache(maxsize=1)
def describe(results: Results) -> str:
    """Returns the sentences on the runs: experiment, splits, numbers, failures, and the set of runs.

    The set is given as `stableft.reporting.artifact_metadata.run_set`.
    `stableft.reporting.artifact_metadata.read_origin` parses these sentences. Cached for all items of
    an experiment.
    """
    scores = final_scores(results)
    experiment, protocol = (", ".join(map(str, results.runs[name].unique())) for name in ("experiment", "protocol"))
    splits = ", ".join(f"{row.task} on {row.split}" for row in scores.drop_duplicates("task").itertuples())
    sentences = [
        f"Experiment {experiment}, protocol {protocol}; scored: {splits}.",
        _frequent_points(results.runs),
        _numbers(scores),
        _pooled(results.runs),
        _failures(scores),
        DIVERGED_RULE if scores["diverged"].any() else "",
        processors.mixture(results.runs),
        *_imported(results.runs),
        f"Resampling seed {statistics.RESAMPLING_SEED}. Run set {run_set(results)}.",
    ]
    return " ".join(filter(None, sentences))


def arms_drawn(*, arms: Collection[str] | None = None, **_: object) -> str:
    """Returns the sentence on the arms of a figure; empty for all arms.

    It is the ``note`` of kinds of figures that draw chosen arms, whatever their other options (see
    `stableft.reporting.report.figure`).
    """
    return f"Runs of {', '.join(arms)}." if arms else ""


def _numbers(scores: pd.DataFrame) -> str:
    """Returns the sentence on runs per arm; where tasks differ, one number or range for each."""
    counts = scores.groupby(["task", "arm"], sort=False, observed=True).size()
    of_task = {str(task): _range(numbers) for task, numbers in counts.groupby("task", sort=False, observed=True)}
    if len(set(of_task.values())) == 1:
        return f"Runs per arm and task: n = {_range(counts)}."
    return f"Runs per arm: {', '.join(f'{task} n = {numbers}' for task, numbers in of_task.items())}."


def _range(counts: pd.Series) -> str:
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def _pooled(runs: pd.DataFrame) -> str:
    """Returns a sentence on the runs of other experiments; empty if there are none."""
    others = further_seeds(runs)
    return f"Pooled with runs of equal configuration in other experiments: {'; '.join(others)}." if others else ""


def is_imported(runs: pd.DataFrame) -> bool:
    """Tells whether runs were imported: they hold no series that their authors did not publish."""
    texts = runs["provenance"].drop_duplicates() if "provenance" in runs else []
    return any(json.loads(text).get("imported") for text in texts)


def _imported(runs: pd.DataFrame) -> list[str]:
    """Returns the sentences on the source of imported runs; none for our own."""
    texts = runs["provenance"].drop_duplicates() if "provenance" in runs else []
    sources = filter(None, (json.loads(text).get("imported") for text in texts))
    return [" ".join(filter(None, _source(ImportedFrom.model_validate(source)))) for source in sources]


def _source(source: ImportedFrom) -> list[str]:
    about = f"Imported, not run here ({source.label}): {source.source}; licence: {source.licence}."
    return [about, f"Settings: {'; '.join(source.deviations)}." if source.deviations else "", source.note]


def _failures(scores: pd.DataFrame) -> str:
    if scores["arm"].nunique() > FEW_ARMS:
        return f"{scores['arm'].nunique()} arms; {scores['failed'].sum()} of {len(scores)} runs failed."
    counts = scores.groupby(["task", "arm"], sort=False, observed=True)["failed"].agg(["sum", "count"])
    tasks = []
    for task, rows in counts.reset_index().groupby("task", sort=False):
        arms = [f"{arm} {failed} of {n}" for arm, failed, n in zip(rows["arm"], rows["sum"], rows["count"], strict=True)]
        tasks.append(f"{task}: {', '.join(arms)}")
    return f"Failed runs of all seeds: {'; '.join(tasks)}."


def _frequent_points(runs: pd.DataFrame) -> str:
    """Returns a sentence for each number of examples to which earlier points were limited."""
    numbers: dict[int, dict[str, None]] = {}
    # The seeds of an arm share all other settings. Dicts keep the tasks in the order of the runs.
    for task, config in runs.drop_duplicates(["task", "arm"])[["task", "config"]].itertuples(index=False):
        if number := json.loads(config).get("evaluation", {}).get("num_examples"):
            numbers.setdefault(number, {})[task] = None
    return " ".join(
        f"Points before the end, {' and '.join(tasks)}: on up to {number} fixed examples of validation."
        for number, tasks in numbers.items()
    )
