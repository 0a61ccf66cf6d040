"""Early stopping: few whole runs against many, of which only the best at an early point continue.

Dodge et al. (2020): start many, stop early, continue some (protocol section 6).
"""

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.core.errors import TooFew
from stableft.reporting.run_scores import validation_points
from stableft.storage.records import Results

BUDGET = 3  # whole runs
SHARES = (0.2, 0.3, 0.5)  # of a run, before some are stopped
NOTE = (
    f"The cost of {BUDGET} whole runs, spent in two ways. whole: expected best validation score of {BUDGET} whole runs. expected: "
    "of the best of the continued runs, if as many runs are started as the cost allows, all are stopped at stop_at (share of a "
    "run; the nearest evaluation point), and those with the best validation score there continue. Runs are drawn without "
    "replacement; cost: in whole runs. Scores are those of the last point; where a protocol evaluates on a fixed subset, all "
    "points are on it."
)


def table(results: Results) -> pd.DataFrame:
    """Compares whole runs with stopped ones of the same cost, by task, arm, share and runs continued.

    Arms with no more than `BUDGET` runs, or without a point at a share, are left out.

    Returns:
        task, arm, n (runs to draw from), stop_at, started, continued, cost, whole, expected, difference
        (expected - whole).

    Raises:
        TooFew: no arm has more than `BUDGET` runs and evaluations before the end.
        MissingInput: see `stableft.reporting.run_scores.final_scores`.
    """
    rows = []
    for task, arm, grid in validation_points(results):
        steps, ends = grid.columns.to_numpy(dtype=np.float64), grid.iloc[:, -1].to_numpy()
        for share in SHARES:
            place = int(np.abs(steps - share * steps[-1]).argmin())
            if place == len(steps) - 1 or len(grid) <= BUDGET:
                continue
            stop_at, early = float(steps[place] / steps[-1]), grid.iloc[:, place].to_numpy()
            for continued in range(1, BUDGET):
                started = min(len(grid), int((BUDGET - continued * (1 - stop_at)) / stop_at))
                expected = statistics.best_after_stopping(early, ends, started, continued, statistics.resampling())
                row = {"task": task, "arm": arm, "n": len(grid), "stop_at": stop_at, "started": started, "continued": continued}
                cost = started * stop_at + continued * (1 - stop_at)
                whole = statistics.expected_best(ends, replacement=False)[BUDGET - 1]
                rows.append({**row, "cost": cost, "whole": whole, "expected": expected, "difference": expected - whole})
    if not rows:
        raise TooFew(f"no arm has more than {BUDGET} runs that were evaluated before the end")
    return pd.DataFrame(rows)
