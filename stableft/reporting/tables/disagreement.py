"""Disagreement: how much the predictions of an arm's runs differ (Du and Nguyen, 2023).

Runs with equal scores can still predict differently.
"""

import pandas as pd

from stableft import statistics
from stableft.core.errors import NotLogged
from stableft.reporting.run_predictions import predictions
from stableft.storage.kept_probabilities import LARGE, NUM_KEPT
from stableft.storage.records import Results
from stableft.tasks.scores import TAGGING_SCORES

NOTE = (
    "Over all pairs of runs of an arm: disagreement, the share of items that two runs put into different classes (tagging: words "
    "tagged differently); kappa, Fleiss' agreement beyond chance (1 full, 0 chance); jensen_shannon, the mean divergence of the "
    f"predicted distributions in bits, on {NUM_KEPT:,} fixed items if there are more than {LARGE:,}; difference, for numbers, the "
    "mean absolute difference of two predictions. n: runs that have predictions; those that diverged have none."
)


def table(results: Results) -> pd.DataFrame:
    """Measures the disagreement of each arm with predictions, one row per task and arm.

    Returns:
        task, arm, n, disagreement and kappa (classes and tags), jensen_shannon (classes), difference
        (numbers); NaN if a measure does not apply, and all NaN for one run. A column without any task
        is left out.

    Raises:
        NotLogged: no predictions are stored.
        MissingInput: see `stableft.reporting.run_predictions.predictions`.
    """
    scores = results.runs.drop_duplicates("task").set_index("task")["score_name"]
    order = results.runs[["task", "arm"]].drop_duplicates()
    rows = []
    for task, of_task in predictions(results).items():
        for arm in order.loc[order["task"] == task, "arm"]:
            runs = of_task.of_arm(arm)
            if not runs:
                continue
            row = {"task": task, "arm": arm, "n": len(runs)}
            if of_task.probabilities.shape[2]:
                row["jensen_shannon"] = statistics.jensen_shannon(of_task.probabilities[runs])
            if of_task.probabilities.shape[2] or scores[task] in TAGGING_SCORES:
                row |= statistics.agreement(of_task.predictions[runs])._asdict()
            else:
                row["difference"] = statistics.absolute_difference(of_task.predictions[runs])
            rows.append(row)
    if not rows:
        raise NotLogged("no predictions are stored: older runs lack them, run them again")
    frame = pd.DataFrame(rows)
    measures = ["disagreement", "kappa", "jensen_shannon", "difference"]
    return frame[["task", "arm", "n", *(name for name in measures if name in frame)]]
