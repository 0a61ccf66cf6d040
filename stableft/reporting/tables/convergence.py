"""Convergence: level and speed of the fall of the training loss.

The numbers of Zhang et al. (2021), Figure 6.
"""

import numpy as np
import pandas as pd

from stableft.reporting.rounding import exact
from stableft.reporting.training_curves import interval_means
from stableft.storage.records import CELL, Results

NOTE = (
    "Training loss, mean over the runs that finished: of the first tenth of the steps, of the fifth and of the last. "
    "half_step: end of the first tenth with at most half of the first one's loss, mean over the runs that get there; reached: "
    "how many do."
)


def table(results: Results) -> pd.DataFrame:
    """Measures training losses along the run, and the step at which the loss is halved.

    The source prints no such numbers. Losses are those of
    `stableft.reporting.training_curves.interval_means`, the points of the curves of the training loss.

    Returns:
        One row per task and arm: runs (finished ones; diverged runs are left out); first, middle, last:
        mean over runs of the loss of the first interval, of the one ending at the middle of the run
        (the fifth of ten) and of the last whole one; half_step: the end of the first interval with at
        most half the loss of the first one, mean over the runs with such an interval (NaN if there is
        none); reached: the number of such runs.
    """
    finished = results.runs.loc[results.runs["outcome"] == "ok", CELL]
    columns = ["first", "middle", "last", "half_step"]
    by_cell = []
    for cell, points in interval_means(results, "loss").merge(finished, on=CELL).groupby(CELL, sort=False, observed=True):
        steps, losses = points.sort_values("step")[["step", "value"]].to_numpy().T
        low = exact(losses) <= exact(losses[0]) / 2
        half_step = steps[low.argmax()] if low.any() else np.nan
        by_cell.append((*cell, losses[0], losses[(len(losses) - 1) // 2], losses[-1], half_step))
    frame = results.runs[CELL].merge(pd.DataFrame(by_cell, columns=[*CELL, *columns]).astype(results.runs[CELL].dtypes), how="left")
    groups = frame.groupby(["task", "arm"], sort=False, observed=True)
    means = groups[columns].mean()
    means.insert(0, "runs", groups["first"].count())
    return means.assign(reached=groups["half_step"].count()).reset_index()
