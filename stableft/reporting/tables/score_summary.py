"""Score summary: final scores of each arm, and their difference from the first arm."""

import pandas as pd

from stableft import statistics
from stableft.reporting.run_scores import difference, final_scores
from stableft.storage.records import Results

NOTE = (
    "Final scores over seeds; std with n - 1. Difference: mean over the pairs of runs with equal seed, against the first arm, "
    "with 95 % BCa bootstrap interval; p: two-sided sign-flip permutation test of the pairs."
)


def table(results: Results) -> pd.DataFrame:
    """Summarizes scores per task and arm, and compares them with the reference arm at equal seeds.

    Returns:
        One row per task and arm: n, mean, std (n - 1), median, min, max, failed; then over the seeds
        shared with the reference (the first arm): pairs, difference of the means, its 95 % BCa interval
        (low, high) and the two-sided sign-flip p. The latter are NaN for the reference itself and if no
        seed is shared.
    """
    scores = final_scores(results)
    reference = scores["arm"].iloc[0]
    rows = []
    for task, of_task in scores.groupby("task", sort=False, observed=True):
        for arm, group in of_task.groupby("arm", sort=False, observed=True):
            row = {"task": task, "arm": arm, **statistics.summary(group["score"])._asdict(), "failed": int(group["failed"].sum())}
            if arm != reference:
                row |= difference(group, of_task[of_task["arm"] == reference])
            rows.append(row)
    columns = ["task", "arm", "n", "mean", "std", "median", "min", "max", "failed", "pairs", "difference", "low", "high", "p"]
    return pd.DataFrame(rows).reindex(columns=columns).astype({"pairs": "Int64"})
