"""Seed spread: standard deviation of scores over init seeds and over order seeds.

Zhang et al. (2021), Appendix B.
"""

import pandas as pd

from stableft.reporting.grid_axes import seed_scores
from stableft.storage.records import Results

NOTE = (
    "Last scores on validation; std with n - 1. std_over_order: mean over init seeds of the std over order seeds; "
    "std_over_init: the other way round."
)


def table(results: Results) -> pd.DataFrame:
    """Computes the standard deviation of scores over either kind of seed.

    Returns:
        One row per task and method: n, min, mean, max, std of all runs; std_over_order: the mean over
        init seeds of the standard deviation over order seeds; std_over_init: the reverse (all with n -
        1); failed.
    """
    rows = []
    for (task, method), group in seed_scores(results).groupby(["task", "method"], sort=False):
        score, failed = group["score"], int(group["failed"].sum())
        over = {
            f"std_over_{one}": group.groupby(other)["score"].std().mean() for one, other in (("order", "init"), ("init", "order"))
        }
        row = {"task": task, "method": method, "n": len(group), "min": score.min(), "mean": score.mean(), "max": score.max()}
        rows.append(row | {"std": score.std(), **over, "failed": failed})
    return pd.DataFrame(rows)
