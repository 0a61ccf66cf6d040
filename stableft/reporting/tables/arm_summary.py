"""Arm summary: final scores and failed runs of each arm, with intervals."""

import pandas as pd

from stableft import statistics
from stableft.reporting.run_scores import final_scores
from stableft.storage.records import Results

NOTE = (
    "Final scores over seeds: mean with 95 % BCa bootstrap interval; std with n - 1; iqm: mean without the lowest and the highest"
    " quarter of the runs. Failed runs with the 95 % Wilson interval of their share."
)


def table(results: Results) -> pd.DataFrame:
    """Summarizes the final scores, one row per task and arm.

    Returns:
        task, arm, n, mean, low, high, std, median, iqm, min, max, failed, failed_low, failed_high; low,
        high and std are NaN for one seed.

    Raises:
        MissingInput: see `final_scores`.
    """
    scores = final_scores(results)
    tasks, _ = pd.factorize(scores["task"])  # groups the rows of a task, in the order of the runs
    rows = []
    for (task, arm), group in scores.iloc[tasks.argsort(kind="stable")].groupby(["task", "arm"], sort=False, observed=True):
        low, high = statistics.mean_interval(group["score"], statistics.resampling())
        failed = statistics.failed_runs(group["failed"])
        row = {"task": task, "arm": arm, **statistics.summary(group["score"])._asdict(), "low": low, "high": high}
        rows.append(row | {"failed": failed.failed, "failed_low": failed.low, "failed_high": failed.high})
    columns = ["n", "mean", "low", "high", "std", "median", "iqm", "min", "max", "failed", "failed_low", "failed_high"]
    return pd.DataFrame(rows)[["task", "arm", *columns]]
