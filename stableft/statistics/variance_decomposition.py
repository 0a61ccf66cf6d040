"""Variance decomposition of scores by two sources of randomness, such as weights and data order."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from stableft.statistics.intervals import finite


class VarianceComponents(NamedTuple):
    """Variance due to rows, to columns and to the rest, and p of "rows (columns) have no effect"."""

    rows: float
    columns: float
    rest: float
    p_rows: float
    p_columns: float


def variance_components(scores: ArrayLike) -> VarianceComponents:
    """Decomposes the variance of scores by rows and columns, with one run per cell.

    The model is score = mean + row + column + rest, all independent and random. The estimates use
    the mean squares of the two-way analysis of variance, with the F test of each factor against the
    rest. With one run per cell, the rest is interaction and repetition noise together. An estimate
    below 0 is set to 0, as usual. Dodge et al. (2020) test their seeds of weights and of data order
    in the same way.

    Args:
        scores: (A, B) one run per row and column, A and B >= 2.

    Returns:
        If all scores are equal, the variances are 0 and p is NaN.

    Raises:
        ValueError: Fewer than two rows or columns, or as `finite`.
    """
    x = finite(scores, "variance_components", ndim=2)
    if min(x.shape) < 2:
        raise ValueError(f"variance_components: two rows and columns are the least, got shape {x.shape}")
    if np.ptp(x) == 0:
        return VarianceComponents(0.0, 0.0, 0.0, float("nan"), float("nan"))
    a, b = x.shape
    rows, columns = x.mean(axis=1, keepdims=True), x.mean(axis=0, keepdims=True)
    freedom = (a - 1) * (b - 1)
    rest = float(np.square(x - rows - columns + x.mean()).sum() / freedom)
    by_row, by_column = float(b * rows.var(ddof=1)), float(a * columns.var(ddof=1))
    with np.errstate(divide="ignore"):
        p_rows, p_columns = stats.f.sf(np.divide([by_row, by_column], rest), [a - 1, b - 1], freedom)
    return VarianceComponents(
        max(0.0, (by_row - rest) / b), max(0.0, (by_column - rest) / a), rest, float(p_rows), float(p_columns)
    )
