"""Variance: shares of init seeds, of order seeds, and of the rest in the variance of scores."""

import numpy as np
import pandas as pd

from stableft import statistics
from stableft.reporting.grid_axes import seed_scores, seed_square
from stableft.reporting.rounding import exact
from stableft.storage.records import Results

NOTE = (
    "Last scores on validation over init seeds x order seeds, one run each (order seeds also draw the dropout masks): two-way "
    "decomposition of the variance without replication. std: what each factor adds to the spread, and the rest, which is "
    "interaction and all else that is not the sum of both, with 95 % Tukey-Williams interval (low, high); share: of the sum of the "
    "three variances; an estimate below 0 counts as 0. p: F test of the factor against the rest."
)
FACTORS = ("init", "order", "rest")


def table(results: Results) -> pd.DataFrame:
    """Decomposes the variance over a grid of seeds, one row per task and method.

    Returns:
        task, method, inits and orders (numbers of seeds), mean, std_init, std_order, std_rest, the
        ends low_* and high_* of the interval of each, share_init, share_order, share_rest, p_init,
        p_order. The components are NaN for a grid with a missing run, or with only one seed of a kind.

    Raises:
        MissingInput: see `final_scores`.
    """
    rows = []
    for (task, method), group in seed_scores(results).groupby(["task", "method"], sort=False, observed=True):
        scores = seed_square(group)
        inits, orders = scores.shape
        row = {"task": task, "method": method, "inits": inits, "orders": orders, "mean": group["score"].mean()}
        if min(scores.shape) > 1 and scores.notna().all(axis=None):
            row |= _components(scores.to_numpy())
        rows.append(row)
    parts = ("std", "low", "high", "share")
    numbers = [*(f"{part}_{name}" for part in parts for name in FACTORS), "p_init", "p_order"]
    return pd.DataFrame(rows).reindex(columns=["task", "method", "inits", "orders", "mean", *numbers])


def _components(scores: np.ndarray) -> dict[str, float]:
    components = statistics.variance_components(scores)
    # Exact before the root, which would make an error of 1e-16 one of 1e-8.
    variances, intervals = dict(zip(FACTORS, exact(components[:3]), strict=True)), exact(statistics.component_intervals(scores))
    total = sum(variances.values())
    row = {f"std_{name}": variance**0.5 for name, variance in variances.items()}
    row |= {f"share_{name}": variance / total if total else float("nan") for name, variance in variances.items()}
    for name, interval in zip(FACTORS, intervals, strict=True):
        row |= {f"low_{name}": interval.low**0.5, f"high_{name}": interval.high**0.5}
    return row | {"p_init": components.p_rows, "p_order": components.p_columns}
