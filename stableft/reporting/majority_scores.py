"""Majority scores: the score of a constant prediction, by task and split."""

import math

from stableft.storage.records import Results
from stableft.tasks import scores


def on_split(results: Results, split: str) -> dict[str, float]:
    """Returns the majority score of each task on one split.

    On the split that a task is scored on, the runs record it. On another split it is computed from the
    labels stored with the predictions of a run.

    Args:
        results: Runs and predictions of one experiment.
        split: ``validation`` or ``test``.

    Returns:
        One number per task, by the task's score. NaN where it is unknown: no run has predictions on
        the split, or tags need the bounds of sentences, which are not stored.
    """
    majority: dict[str, float] = {}
    for task, name, scored, known in results.runs.drop_duplicates("task")[
        ["task", "score_name", "score_split", "majority_score"]
    ].itertuples(index=False, name=None):
        majority[str(task)] = float(known) if scored == split else _from_labels(results, str(task), split, str(name))
    return majority


def _from_labels(results: Results, task: str, split: str, score_name: str) -> float:
    stored = results.predictions
    rows = stored[(stored["task"] == task) & (stored["split"] == split)]
    if rows.empty or score_name in scores.TAGGING_SCORES:
        return math.nan
    first = rows["run_id"].iloc[0]
    cell = rows[(rows["run_id"] == first) & (rows["arm"] == rows["arm"].iloc[0]) & (rows["seed"] == rows["seed"].iloc[0])]
    return scores.constant(score_name, cell["label"].to_numpy(float))
